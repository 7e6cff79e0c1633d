"""The files of an index, as `files` lists them."""

from __future__ import annotations

from dataclasses import dataclass

from localembed.types.documents import FileState, Note


@dataclass(frozen=True, slots=True)
class ListedFile:
    """One file with what is indexed of it."""

    path: bytes
    """Absolute path."""
    chunks: int
    state: FileState = "indexed"


@dataclass(frozen=True, slots=True)
class FileListing:
    """The files of an index."""

    files: tuple[ListedFile, ...]
    """Files with chunks, sorted by path or by chunks."""
    failures: tuple[Note, ...]
    """Files that could not be read by the last run that tried; their older chunks stay."""
    skipped: tuple[Note, ...] | None = None
    """Skipped files and folders, each with its reason; None if they were not looked for."""
