"""Vectors that were paid for and are not in the table yet: a kill must not cost them twice.

They are appended as they come and dropped as soon as the table has them; torn ends are left out.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
import xxhash

from localembed.core.files import storage_error
from localembed.store.layout import Layout

if TYPE_CHECKING:
    from localembed.types.arrays import Vector, VectorMatrix

_KEY, _CHECK = 16, 8
_SEGMENT = 4096
"""Vectors of one file; a file goes when the table has all of it."""


class PendingAnswers:
    """The vectors of one space that are on their way; several threads may use it."""

    def __init__(self, layout: Layout, space_id: str, dim: int) -> None:
        """Read what earlier runs left.

        Args:
            layout: the workspace.
            space_id: of the vectors, whichever table they go to: cut anew, many texts are the same.
            dim: numbers of a vector.
        """
        self._layout = layout
        self._space = space_id[:16]
        self._dim = dim
        self._lock = Lock()
        self._vectors: dict[bytes, Vector] = {}
        self._segments: dict[Path, set[bytes]] = {}
        for path in sorted(layout.pending.glob(f"{self._space}-*.bin")):
            found = self._read(path)
            self._vectors.update(found)
            self._segments[path] = set(found)
        self._current: Path | None = None

    def save(self, keys: Sequence[bytes], vectors: VectorMatrix, /) -> None:
        """Append vectors to the file, under their keys.

        Raises:
            StorageError: the disk is full or unwritable.
        """
        records = [
            key + row.astype("<f4").tobytes() for key, row in zip(keys, vectors, strict=True)
        ]
        data = b"".join(record + xxhash.xxh3_64_digest(record) for record in records)
        with self._lock:
            path = self._segment()
            try:
                self._append(path, data)
            except OSError as error:
                raise storage_error(path, error) from error
            self._segments[path].update(keys)
            self._vectors.update(zip(keys, vectors, strict=True))

    def vectors(self, keys: Collection[bytes]) -> dict[bytes, Vector]:
        """Return those that are here."""
        with self._lock:
            return {key: self._vectors[key] for key in keys if key in self._vectors}

    def written(self, keys: Iterable[bytes]) -> None:
        """Drop what the table has; a file without anything else goes."""
        done = set(keys)
        with self._lock:
            for key in done:
                self._vectors.pop(key, None)
            for path, left in list(self._segments.items()):
                left -= done
                if not left:
                    self._drop(path)

    def clear(self) -> None:
        """Drop everything: the table has all it needs."""
        with self._lock:
            self._vectors.clear()
            for path in list(self._segments):
                self._drop(path)

    def _segment(self) -> Path:
        """Return the file that is written to, a new one when the last is full."""
        current = self._current
        if current is None or len(self._segments.get(current, ())) >= _SEGMENT:
            numbers = [int(path.stem.rpartition("-")[2]) for path in self._segments]
            current = self._layout.pending / f"{self._space}-{max(numbers, default=0) + 1}.bin"
            self._current = current
        self._segments.setdefault(current, set())
        return current

    def _append(self, path: Path, data: bytes) -> None:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            while data:
                data = data[os.write(file, data) :]
        finally:
            os.close(file)

    def _drop(self, path: Path) -> None:
        del self._segments[path]
        path.unlink(missing_ok=True)
        if path == self._current:
            self._current = None

    def _read(self, path: Path) -> dict[bytes, Vector]:
        """Return the whole records of a file, up to the first that is torn."""
        try:
            data = path.read_bytes()
        except OSError as error:
            raise storage_error(path, error) from error
        size = _KEY + 4 * self._dim + _CHECK
        found: dict[bytes, Vector] = {}
        for at in range(0, len(data) - size + 1, size):
            record = data[at : at + size - _CHECK]
            if xxhash.xxh3_64_digest(record) != data[at + size - _CHECK : at + size]:
                break
            found[record[:_KEY]] = np.frombuffer(record, "<f4", offset=_KEY).astype(np.float32)
        return found
