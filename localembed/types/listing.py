"""The files of an index, as `files` lists them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ListedFile:
    """One file with what is indexed of it."""

    path: bytes
    """Absolute path."""
    chunks: int
