"""Limit how much freed memory glibc keeps during a long run.

glibc gives every thread its own arena, and memory that a thread frees stays in its arena. Lance
writes from a thread pool: from 10 to 300 MB of text the peak grew by 10%, with one shared arena by
6%. But threads contend for a single arena: chunking and writing with a static model took 7.1 s with
one, 5.3 s with four and 5.2 s with one per thread (`benchmarks.memory` and `benchmarks.whole_run`,
2 cores).

With a remote model there are many buffers of several megabytes, and allocating them need not be
fast: 38,134 chunks took 398 MB, 372 MB when each buffer is returned to the system at once, and
348 MB when Arrow has no pool either. torch needs fast allocation: for its tensors glibc has to keep
what it has.
"""

from __future__ import annotations

import os
import sys

_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8
_HEAPS = 4
_BLOCK = 128 << 10
"""Buffers of at least this many bytes are allocated outside the arenas."""


def limit_arenas(*, return_blocks: bool) -> None:
    """Limit glibc's arenas before any thread starts; other C libraries have no such option.

    This affects the whole process, so commands do it and the library does not.

    Args:
        return_blocks: return large buffers to the system as soon as they are freed.
    """
    import ctypes

    set_option = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if set_option is None:
        return
    set_option(_M_ARENA_MAX, 1 if return_blocks else _HEAPS)
    if return_blocks:
        set_option(_M_MMAP_THRESHOLD, _BLOCK)
        os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")  # read on import
