"""A definition that was found in code."""

from __future__ import annotations

from typing import NamedTuple

MAX_DEPTH = 16
"""Definitions that enclose each other; deeper ones have no heading, so that work stays linear."""


class Definition(NamedTuple):
    """Places in the document; sorts by start."""

    start: int
    """First character, after the indentation."""
    end: int
    """End of the signature."""
    stop: int
    """End of the body."""
    name: tuple[int, int]
    """Start and end of the title."""
