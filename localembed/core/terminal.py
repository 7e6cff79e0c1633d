"""Facts about the terminal of this process, without any slow import."""

from __future__ import annotations

import os
import sys

_LINKING = ("VTE_VERSION", "KITTY_WINDOW_ID", "WT_SESSION", "WEZTERM_PANE", "ITERM_SESSION_ID")
"""Variables set by terminals that are known to support links (OSC 8)."""
_COLUMNS = 80


def columns() -> int:
    """Return the width of the terminal as `shutil.get_terminal_size` does: COLUMNS comes first."""
    try:
        named = int(os.environ.get("COLUMNS", ""))
    except ValueError:
        named = 0
    if named > 0:
        return named
    try:
        return os.get_terminal_size(sys.__stdout__.fileno()).columns or _COLUMNS  # type: ignore[union-attr]
    except (AttributeError, ValueError, OSError):  # stdout is closed, or no terminal
        return _COLUMNS


def is_plain() -> bool:
    """Return whether colours are unwanted: NO_COLOR is set (no-color.org), or TERM is dumb."""
    return bool(os.environ.get("NO_COLOR")) or not can_overwrite()


def can_overwrite() -> bool:
    """Return whether the terminal can move the cursor back: a dumb one cannot."""
    return os.environ.get("TERM") != "dumb"


def supports_links() -> bool:
    """Return whether the terminal is known to support links."""
    return can_overwrite() and any(os.environ.get(name) for name in _LINKING)
