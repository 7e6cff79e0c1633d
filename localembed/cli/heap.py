"""A few heaps for all threads, so that a long run keeps little more than what it uses.

glibc gives every thread a heap of its own, and what a thread frees stays in its heap. Lance writes
from a pool of threads: from 10 to 300 MB of text the peak grew by 10%, with one heap for all by 6%.
But threads wait for each other at one heap: cutting and writing with a static model took 7.1 s with
one, 5.3 s with four and 5.2 s with one each (`benchmarks.memory` and `benchmarks.whole_run`, 2
cores).
"""

from __future__ import annotations

import sys

_M_ARENA_MAX = -8
_HEAPS = 4


def share_heaps() -> None:
    """Tell glibc, before there are threads; other C libraries have no such knob.

    It holds for the whole process, so it is the command's business and not the library's.
    """
    import ctypes

    if sys.platform == "linux":
        set_option = getattr(ctypes.CDLL(None), "mallopt", None)
        if set_option is not None:
            set_option(_M_ARENA_MAX, _HEAPS)
