"""The devices, precisions and free memory of this machine."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from localembed.embedding.options import DEVICE_NAME
from localembed.errors import UsageError

_CGROUPS = Path("/sys/fs/cgroup")
_FULL = ("out of memory", "can't allocate memory", "ALLOC_FAILED")
_INSTRUCTION_SETS = re.compile(
    r"\b(avx2|avx_ne_convert|avx512(?:bw|dq|f|vl|_bf16|_fp16|_vnni)|amx_(?:bf16|fp16|tile))\b"
)
"""CPU flags by which torch and oneDNN choose their code."""

_RESTRICTIONS = ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
"""Environment variables by which torch and oneDNN use fewer of them."""


def cpu_has_bf16() -> bool:
    """Return whether the CPU multiplies bf16; without AMX or AVX512-BF16 it is emulated."""
    flags = _text(Path("/proc/cpuinfo"))
    return "amx_bf16" in flags or "avx512_bf16" in flags


def cpu_name() -> str:
    """Return the CPU's name and the number of cores that this process may use."""
    line = re.search(r"model name\s*:\s*(.+)", _text(Path("/proc/cpuinfo")))
    name = line[1].strip() if line else platform.processor() or platform.machine()
    return f"{name} x{cores()}"


def instruction_sets() -> str:
    """Return the CPU's instruction sets and the variables that restrict their use.

    Empty where the system names no instruction sets and no variable is set.
    """
    flags = re.search(r"^flags\s*:\s*(.+)", _text(Path("/proc/cpuinfo")), re.MULTILINE)
    known = sorted(set(_INSTRUCTION_SETS.findall(flags[1] if flags else "")))
    restricted = [f"{name}={os.environ[name]}" for name in _RESTRICTIONS if os.environ.get(name)]
    return " ".join(known + restricted)


def cores() -> int:
    """Return how many cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def has_compiler() -> bool:
    """Return whether a C++ compiler, which torch.compile needs, is on the path."""
    named = os.environ.get("CXX")
    return any(shutil.which(name) for name in (named, "g++", "clang++", "c++") if name)


def free_memory(cgroups: Path = _CGROUPS) -> int | None:
    """Return the bytes that this process may still allocate, None where the system does not say.

    The lower of what is available and what the cgroup leaves. Linux grants more memory than
    there is and kills the process that uses it, so this is checked beforehand.

    Args:
        cgroups: where the cgroups are mounted.
    """
    found = re.search(r"MemAvailable:\s*(\d+) kB", _text(Path("/proc/meminfo")))
    amounts = [int(found[1]) * 1024] if found else []
    cgroup = re.search(r"^0::/(.*)$", _text(Path("/proc/self/cgroup")), re.MULTILINE)
    group = cgroups / (cgroup[1] if cgroup else "")
    for folder in (group, *group.parents):
        limit, used = (_text(folder / name).strip() for name in ("memory.max", "memory.current"))
        if limit.isdigit() and used.isdigit():
            amounts.append(max(0, int(limit) - int(used)))
    return min(amounts, default=None)


def give_back_memory() -> None:
    """Let glibc return freed memory to the system; other C libraries have no call for it."""
    trim = _malloc_trim()
    if trim is not None:
        trim(0)


def is_out_of_memory(error: Exception) -> bool:
    """Return whether memory ran out; torch and its libraries raise a RuntimeError."""
    named = isinstance(error, RuntimeError) and any(mark in str(error) for mark in _FULL)
    return named or isinstance(error, MemoryError)


@cache
def _malloc_trim() -> Callable[[int], int] | None:
    if sys.platform != "linux":
        return None
    import ctypes

    found: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return found


def choose_device(requested: str) -> str:
    """Return the device to use: cpu, cuda:N or mps.

    `auto` is the first CUDA GPU if there is one, else the CPU; Apple's GPU must be requested, as
    small models are slower on it. A device that is named is never replaced by another.

    Raises:
        UsageError: the name is invalid, or there is no such device.
    """
    if not DEVICE_NAME.fullmatch(requested):
        message = f"--device is {requested!r}, but must be auto, cpu, cuda, cuda:N or mps."
        raise UsageError(message)
    if requested == "cpu" or (requested == "auto" and not _may_have_cuda()):
        return "cpu"
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if requested == "auto":
        return "cuda:0" if count else "cpu"
    if requested == "mps":
        if not torch.backends.mps.is_available():
            message = "--device mps: torch finds no Apple GPU here. Use: --device cpu"
            raise UsageError(message)
        return "mps"
    number = int(requested.partition(":")[2] or 0)
    if number >= count:
        has = f"finds {count} CUDA GPU{'' if count == 1 else 's'}" if count else "finds no CUDA GPU"
        message = f"--device {requested}: torch {has} here. Use: --device cpu"
        raise UsageError(message)
    return f"cuda:{number}"


def choose_precision(requested: str, device: str) -> str:
    """Return fp32, bf16 or fp16.

    Raises:
        UsageError: the device does not support the precision, or only by slow emulation.
    """
    if device == "cpu":
        if requested == "bf16" and not cpu_has_bf16():
            message = "--precision bf16 needs a CPU with AMX or AVX512-BF16. Use: fp32"
            raise UsageError(message)
        if requested == "fp16":
            message = "--precision fp16 needs a GPU. Use: --precision auto"
            raise UsageError(message)
        return "bf16" if cpu_has_bf16() and requested in ("auto", "bf16") else "fp32"
    if device == "mps":
        return "fp16" if requested == "auto" else requested
    import torch

    has_bf16 = torch.cuda.get_device_capability(torch.device(device))[0] >= 8
    if requested == "bf16" and not has_bf16:
        message = f"--precision bf16: {device} is too old for it. Use: --precision fp16"
        raise UsageError(message)
    return ("bf16" if has_bf16 else "fp16") if requested == "auto" else requested


def device_name(device: str) -> str:
    """Return the name of the CPU or GPU, for the key of its profile."""
    if device.startswith("cuda"):
        import torch

        name: str = torch.cuda.get_device_name(torch.device(device))
        return name
    return cpu_name() if device == "cpu" else device


def device_peak(device: str) -> int | None:
    """Return the peak bytes of tensors on a CUDA GPU since the last call; None elsewhere."""
    if not device.startswith("cuda"):
        return None
    import torch

    peak = int(torch.cuda.max_memory_allocated(torch.device(device)))
    torch.cuda.reset_peak_memory_stats(torch.device(device))
    return peak


def bf16_is_fast(torch: Any) -> bool:  # noqa: ANN401 - a module
    """Return whether bf16 multiplies faster, measured in 40 ms: flags do not prove it.

    The precisions take turns and the best of each counts, so that other load affects both alike.
    One after the other, 2 of 60 probes on a busy machine took bf16, which is twice as fast there,
    for the slower one.
    """
    import time

    matrices = [
        (torch.ones((512, 384), dtype=dtype), torch.ones((384, 1536), dtype=dtype))
        for dtype in (torch.bfloat16, torch.float32)
    ]
    best = [float("inf")] * len(matrices)
    for _ in range(6):
        for place, (left, right) in enumerate(matrices):
            begin = time.perf_counter()
            left @ right
            best[place] = min(best[place], time.perf_counter() - begin)
    return best[0] < best[1]


def _may_have_cuda() -> bool:
    """Return whether looking for a GPU is worth importing torch."""
    return sys.platform != "linux" or Path("/dev/nvidiactl").exists()


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
