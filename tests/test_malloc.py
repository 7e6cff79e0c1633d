"""Threads share a few malloc arenas once a command limits them."""

import subprocess
import sys

import pytest

COUNT = """
import ctypes, re, sys, tempfile, threading
from localembed.cli.malloc import limit_arenas

libc = ctypes.CDLL(None)
if sys.argv[1] == "shared":
    limit_arenas(return_blocks=False)
together = threading.Barrier(12)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]

def work():
    blocks = [libc.malloc(4000) for _ in range(200)]
    together.wait()
    for block in blocks:
        libc.free(block)

threads = [threading.Thread(target=work) for _ in range(12)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
with tempfile.NamedTemporaryFile() as file:
    libc.fopen.restype, libc.fclose.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    libc.malloc_info.argtypes = [ctypes.c_int, ctypes.c_void_p]
    stream = libc.fopen(file.name.encode(), b"w")
    libc.malloc_info(0, stream)
    libc.fclose(stream)
    print(len(re.findall(b"<heap nr", file.read())))
"""


def heaps(how: str) -> int:
    """Return how many arenas twelve threads leave behind."""
    command = [sys.executable, "-c", COUNT, how]
    return int(subprocess.run(command, capture_output=True, check=True, text=True).stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's heaps")
def test_threads_share_heaps():
    assert heaps("own") > 4
    assert heaps("shared") <= 4


BLOCKS = """
import ctypes, sys
from localembed.cli.malloc import limit_arenas

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
limit_arenas(return_blocks=sys.argv[1] == "returned")

def kept():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

def use(size):
    block = libc.malloc(size)
    ctypes.memset(block, 1, size)
    return block

libc.free(use(16 << 20))  # from now on glibc allocates blocks of this size from its heap
before = kept()
blocks = [use(1 << 20) for _ in range(64)]
pin = use(100_000)
for block in blocks:
    libc.free(block)
print((kept() - before) >> 20)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's heaps")
def test_large_blocks_are_returned_at_once():
    def left(how: str) -> int:
        command = [sys.executable, "-c", BLOCKS, how]
        return int(subprocess.run(command, capture_output=True, check=True, text=True).stdout)

    assert left("kept") > 32
    assert left("returned") < 4
