"""Heaps that keep little more than what is used, however long a run is.

glibc gives every thread a heap of its own, and what a thread frees stays in its heap. Lance writes
from a pool of threads: from 10 to 300 MB of text the peak grew by 10%, with one heap for all by 6%.
But threads wait for each other at one heap: cutting and writing with a static model took 7.1 s with
one, 5.3 s with four and 5.2 s with one each (`benchmarks.memory` and `benchmarks.whole_run`, 2
cores).

Where a server embeds, there are many buffers of megabytes and nobody in a hurry for them: 38,134
chunks took 398 MB, 372 where each is given back at once, and 348 where Arrow has no pool either.
torch is in a hurry: for its tensors glibc has to keep what it has.
"""

from __future__ import annotations

import os
import sys

_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8
_HEAPS = 4
_BLOCK = 128 << 10
"""Bytes from which on a buffer is no part of a heap."""


def limit_arenas(*, return_blocks: bool) -> None:
    """Tell glibc, before there are threads; other C libraries have no such knob.

    It holds for the whole process, so it is the command's business and not the library's.

    Args:
        return_blocks: give what is large back to the system as soon as it is freed.
    """
    import ctypes

    set_option = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if set_option is None:
        return
    set_option(_M_ARENA_MAX, 1 if return_blocks else _HEAPS)
    if return_blocks:
        set_option(_M_MMAP_THRESHOLD, _BLOCK)
        os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")  # read when it is imported
