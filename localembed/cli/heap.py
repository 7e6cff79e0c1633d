"""One heap for all threads, so that a long run keeps what it uses and no more.

glibc gives each thread a heap of its own, and what a thread frees stays in its heap. Lance writes
from a pool of threads: from 10 to 120 MB of text the peak grew by 28 MB, with one heap by 10, and
nothing was slower (`python -m benchmarks.memory`).
"""

from __future__ import annotations

import sys

_M_ARENA_MAX = -8


def share_one_heap() -> None:
    """Tell glibc, before there are threads; other C libraries have no such knob.

    It holds for the whole process, so it is the command's business and not the library's.
    """
    import ctypes

    if sys.platform == "linux":
        set_option = getattr(ctypes.CDLL(None), "mallopt", None)
        if set_option is not None:
            set_option(_M_ARENA_MAX, 1)
