"""Vectors that a remote model returned and no table has yet: a kill must not cost them twice.

They lie in SQLite from the moment they arrive until the table has them. The database is opened for
one call and closed again: a failed run leaves nothing open, and an answer that arrives after its
end is still saved.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import xxhash

from localembed.core.files import storage_error, sync_folder
from localembed.store.layout import Layout
from localembed.store.misplaced import set_aside

if TYPE_CHECKING:
    from localembed.types.arrays import Vector, VectorMatrix

_COLUMNS = "answers (key BLOB PRIMARY KEY, record BLOB NOT NULL)"
"""A record is a vector, then a digest: SQLite does not notice a flipped bit in a vector."""
_NAMED_FILE = bytes.fromhex("d9d505f920a163d7")
"""End of a journal that belongs to several databases and names a file of all, anywhere on the disk,
which SQLite deletes. None of ours does."""


class PendingVectors:
    """The pending vectors of one space; several threads may use it."""

    def __init__(self, layout: Layout, space_id: str, dim: int) -> None:
        """Remember where the database lies; nothing is opened yet.

        Args:
            layout: the workspace.
            space_id: the space of the vectors, for whichever table: chunked with other settings,
                many texts are the same.
            dim: dimensions of a vector.
        """
        self._layout = layout
        self._path = layout.pending / f"{space_id[:16]}.sqlite"
        self._dim = dim
        self._lock = Lock()

    def save(self, keys: Sequence[bytes], vectors: VectorMatrix, /) -> None:
        """Write vectors under their keys; they survive a power cut.

        Raises:
            StorageError: the disk is full or unwritable.
        """
        values = [row.astype("<f4").tobytes() for row in vectors]
        rows = [(key, v + _digest(key, v)) for key, v in zip(keys, values, strict=True)]
        insert = "REPLACE INTO answers VALUES (?, ?)"
        with self._lock:
            for _ in range(2):  # where a damaged database was set aside, a new one takes them
                self._make_file()
                if self._call(lambda database: database.executemany(insert, rows)):
                    return
        raise storage_error(self._path, OSError("a new database is damaged as well"))

    def vectors(self, keys: Collection[bytes]) -> dict[bytes, Vector]:
        """Return those vectors that are pending, (dim,) float32 each."""
        if not self._path.exists():
            return {}
        import numpy as np

        query = "SELECT key, record FROM answers WHERE key = ? AND typeof(record) = 'blob'"
        with self._lock:
            found = self._call(lambda db: [db.execute(query, [key]).fetchone() for key in keys])
        return {
            key: np.frombuffer(record, "<f4", self._dim).astype(np.float32)
            for key, record in filter(None, found or ())
            if record[4 * self._dim :] == _digest(key, record[: 4 * self._dim])
        }

    def written(self, keys: Iterable[bytes]) -> None:
        """Delete vectors that the table has, and with the last of them the database."""
        delete, rest = "DELETE FROM answers WHERE key = ?", "SELECT EXISTS (SELECT * FROM answers)"
        with self._lock:
            self._call(lambda database: database.executemany(delete, ([key] for key in keys)))
            if self._call(lambda database: database.execute(rest).fetchone()) == (0,):
                self._remove()

    def clear(self) -> None:
        """Delete everything: the table has all it needs."""
        with self._lock:
            self._remove()

    def _call(self, action: Callable[[Any], Any]) -> Any:  # noqa: ANN401 - whatever it returns
        """Return what an action in one transaction returns, None without a usable database."""
        if not self._path.exists():
            return None
        import sqlite3

        damage = (
            sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR,
            sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_CONSTRAINT,
        )  # fmt: skip
        try:
            _remove_foreign(self._journal)
            with closing(sqlite3.connect(self._path)) as database, database:
                # With FULL, a power cut could bring back the journal of what was just committed.
                database.execute("PRAGMA synchronous = EXTRA")
                database.execute(f"CREATE TABLE IF NOT EXISTS {_COLUMNS}")
                schema = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL"
                if database.execute(schema).fetchall() == [(f"CREATE TABLE {_COLUMNS}",)]:
                    return action(database)
        except UnicodeDecodeError:  # an error text that quotes a damaged schema
            pass
        except sqlite3.DatabaseError as error:
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
            if code & 0xFF not in damage:
                raise storage_error(self._path, OSError(str(error))) from error
        except OSError as error:
            raise storage_error(self._path, error) from error
        try:
            set_aside(self._layout, self._path)  # a new database makes SQLite drop the old journal
        except OSError as error:
            raise storage_error(self._path, error) from error
        return None

    def _make_file(self) -> None:
        """Make an empty database that only its owner may read, if there is none."""
        if self._path.exists():
            return
        try:
            self._path.parent.mkdir(mode=0o700, exist_ok=True)
            self._path.touch(mode=0o600)
            sync_folder(self._path.parent)
            sync_folder(self._layout.folder)
        except OSError as error:
            raise storage_error(self._path, error) from error

    @property
    def _journal(self) -> Path:
        return self._path.with_name(f"{self._path.name}-journal")

    def _remove(self) -> None:
        try:
            self._path.unlink(missing_ok=True)
            self._journal.unlink(missing_ok=True)
        except OSError as error:
            raise storage_error(self._path, error) from error


def _remove_foreign(journal: Path) -> None:
    """Remove a journal that could make SQLite delete a file outside of the workspace.

    Raises:
        OSError: it cannot be read or removed.
    """
    try:
        with journal.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - len(_NAMED_FILE)))
            is_foreign = file.read() == _NAMED_FILE
    except FileNotFoundError:
        return
    if is_foreign:
        journal.unlink()


def drop_all(layout: Layout) -> None:
    """Delete the pending vectors of every space. The caller holds the writer lock.

    Raises:
        StorageError: they cannot be deleted.
    """
    for path in layout.pending.glob("*.sqlite*"):
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise storage_error(path, error) from error


def _digest(key: bytes, vector: bytes) -> bytes:
    return xxhash.xxh3_64_digest(key + vector)
