"""Text that people read: paths and numbers."""

from __future__ import annotations

import os


def show_path(path: bytes) -> str:
    """Return a path as valid text; bytes that are none are shown as escapes."""
    return os.fsdecode(path).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, singular for one."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
