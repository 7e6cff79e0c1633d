"""The manifest: the state of every source file, in DuckDB. It can be rebuilt from the Lance rows.

DuckDB locks its file against other processes while it is open, so it is opened for one query or
transaction and closed again. Nothing else in this process may open the file, because closing it
would release the lock.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from localembed.core import private
from localembed.errors import LockedError, StorageError
from localembed.store.fsync import StoredFile, Synced
from localembed.store.lance.disk_names import is_inside
from localembed.store.layout import Layout
from localembed.store.manifest_schema import (
    COLUMNS,
    DUCKDB_SETTINGS,
    SCHEMA,
    SCHEMA_VERSION,
    contents,
    from_row,
    is_older_schema,
    to_row,
)
from localembed.types.documents import FileRecord

if TYPE_CHECKING:
    import duckdb

_LOCK_TIMEOUT_SECONDS = 5.0
# What DuckDB's messages are matched for; tests/assumptions/test_duckdb.py provokes each.
_LOCKED = "Could not set lock"
_UNWRITABLE = re.compile("No space left|Permission denied|(?i:read-only)")
_NO_FILES = Synced()


@dataclass(frozen=True, slots=True)
class TableMark:
    """The Lance version of a table that the manifest's records describe."""

    uuid: str
    lance_version: int


class Manifest:
    """The manifest of one workspace."""

    def __init__(self, layout: Layout, *, read_only: bool = False) -> None:
        """Set the path; nothing is opened yet.

        Args:
            layout: the workspace.
            read_only: never write: a manifest that cannot be read counts as empty and stays in
                place.
        """
        self._path = layout.manifest
        self._read_only = read_only

    def problem(self) -> str | None:
        """Read every record; return what is wrong with the file, None if it is valid.

        Raises:
            LockedError: another process has it open.
        """
        if not self._path.exists():
            return "There is no manifest"
        try:
            with self._connection() as con:
                for table in ("meta", "tables", "files", "lance_files"):
                    con.execute(f"SELECT count(hash(t)) FROM {table} t").fetchall()
        except _DamagedError as error:
            return f"The manifest cannot be read: {error.__cause__ or error}".splitlines()[0]
        return None

    def load(self, table: str) -> tuple[dict[bytes, FileRecord], TableMark | None]:
        """Return all records of a table by doc_id, and its mark.

        Both are empty if there is no manifest or it cannot be read. An unreadable one is set aside,
        since it can be rebuilt.
        """
        if not self._path.exists():
            return {}, None
        try:
            with self._connection() as con:
                rows = con.execute(
                    f"SELECT {COLUMNS} FROM files WHERE table_name = ?",
                    [table],
                ).fetchall()
                mark = con.execute(
                    "SELECT uuid, lance_version FROM tables WHERE name = ?", [table]
                ).fetchall()
        except _DamagedError:
            self.set_aside()
            return {}, None
        return {row[0]: from_row(row) for row in rows}, TableMark(*mark[0]) if mark else None

    def marks(self) -> dict[str, TableMark]:
        """Return the mark of every table."""
        rows = self._read("SELECT name, uuid, lance_version FROM tables", [])
        return {name: TableMark(uuid, version) for name, uuid, version in rows}

    def stored_files(self, table: str) -> dict[str, StoredFile]:
        """Return the durable files of a table, by name; names that lead out of it are left out."""
        rows = self._read("SELECT name, size, xxh3 FROM lance_files WHERE table_name = ?", [table])
        return {row[0]: StoredFile(*row) for row in rows if is_inside(row[0])}

    def sample(self, root_id: str, path: bytes, most: int) -> list[FileRecord]:
        """Return at most `most` documents with rows at or below a path of a root, of any table."""
        below = "AND (path = ? OR (path > ? AND path < ?)) " if path else ""
        rows = self._read(
            f"SELECT DISTINCT ON (doc_id) {COLUMNS} FROM files WHERE root_id = ? AND n_chunks > 0 "
            f"{below}ORDER BY doc_id LIMIT ?",
            [root_id, *((path, path + b"/", path + b"0") if path else ()), most],
        )
        return list(map(from_row, rows))

    def largest(self, table: str, most: int) -> list[FileRecord]:
        """Return the documents of a table with the most rows, at most `most` of them."""
        rows = self._read(
            f"SELECT {COLUMNS} FROM files WHERE table_name = ? AND n_chunks > 0 "
            "ORDER BY n_chunks DESC, path LIMIT ?",
            [table, most],
        )
        return list(map(from_row, rows))

    def _read(self, query: str, values: list[object]) -> list[Any]:
        """Return the rows of a query; none if there is no readable manifest."""
        if not self._path.exists():
            return []
        try:
            with self._connection() as con:
                rows: list[Any] = con.execute(query, values).fetchall()
                return rows
        except _DamagedError:
            self.set_aside()
            return []

    def commit(
        self,
        table: str,
        *,
        upserts: Sequence[FileRecord] = (),
        deletes: Iterable[bytes] = (),
        mark: TableMark | None = None,
        synced: Synced = _NO_FILES,
    ) -> None:
        """Write and delete records, set the mark and update the list of files, in one transaction.

        Raises:
            StorageError: the disk is full or cannot be written.
        """
        with self._writing() as con:
            con.execute("BEGIN")
            dropped = list(deletes)
            if dropped:
                con.execute(
                    "DELETE FROM files WHERE table_name = ? "
                    "AND doc_id IN (SELECT unnest(?::BLOB[]))",
                    [table, dropped],
                )
            if upserts:
                with con.appender("files", action="upsert") as appender:
                    appender.append_rows([(table, *to_row(record)) for record in upserts])
            _update_files(con, table, synced)
            if mark is not None:
                con.execute(
                    "INSERT INTO tables VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET "
                    "uuid = excluded.uuid, lance_version = excluded.lance_version",
                    [table, mark.uuid, mark.lance_version],
                )
            con.execute("COMMIT")

    def forget(self, table: str) -> None:
        """Delete all records of a table, in one transaction.

        Raises:
            StorageError: the disk is full or cannot be written.
        """
        with self._writing() as con:
            con.execute("BEGIN")
            for relation, column in (
                ("files", "table_name"),
                ("lance_files", "table_name"),
                ("tables", "name"),
            ):
                con.execute(f"DELETE FROM {relation} WHERE {column} = ?", [table])
            con.execute("COMMIT")

    @contextmanager
    def _writing(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open the file for a transaction; one that turns out to be damaged is set aside.

        Raises:
            StorageError: it is damaged, full or cannot be written.
        """
        try:
            with self._connection() as con:
                yield con
        except _DamagedError as error:
            if self.problem() is None:  # the transaction failed, and is rolled back
                raise
            # A new manifest would lack the records of earlier commits, so the run has to end.
            self.set_aside()
            message = (
                f"{self._path} was damaged and has been set aside. Run the same command again: it "
                "is rebuilt from the rows, and nothing is embedded again."
            )
            raise StorageError(message) from error

    @contextmanager
    def _connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open the file, waiting up to 5 s for another process to close it."""
        import duckdb

        con = self._connect()
        try:
            if not self._read_only:
                con.execute(SCHEMA)
                self._number_schema(con)
            self._check_schema(con)
            if not self._read_only:
                self._tighten()
            yield con
        except duckdb.Error as error:
            raise self._explain(error) from error
        finally:
            con.close()

    def _tighten(self) -> None:
        """Take the rights of other users from what DuckDB created by the umask."""
        for suffix in ("", ".wal"):
            private.tighten(self._path.with_name(self._path.name + suffix))

    def _connect(self) -> duckdb.DuckDBPyConnection:
        import duckdb

        deadline = time.monotonic() + _LOCK_TIMEOUT_SECONDS
        while True:
            try:
                return duckdb.connect(str(self._path), self._read_only, DUCKDB_SETTINGS)
            except duckdb.Error as error:
                busy = _LOCKED in str(error)
                if not busy or time.monotonic() > deadline:
                    raise self._explain(error) from error
                time.sleep(0.02)

    def _number_schema(self, con: duckdb.DuckDBPyConnection) -> None:
        if not con.execute("SELECT value FROM meta WHERE key = 'schema'").fetchall():
            con.execute("INSERT INTO meta VALUES ('schema', ?)", [str(SCHEMA_VERSION)])

    def _check_schema(self, con: duckdb.DuckDBPyConnection) -> None:
        """Check that the file contains the tables of this version, and nothing else.

        Raises:
            _DamagedError: it does not.
        """
        if contents(con) != _expected_contents():
            message = "its tables are not those of a manifest"
            raise _DamagedError(message)
        found = con.execute("SELECT value FROM meta WHERE key = 'schema'").fetchall()
        if found != [(str(SCHEMA_VERSION),)]:
            message = f"it has schema {found[0][0] if found else 'none'}"
            raise _DamagedError(message)

    def _explain(self, error: Exception) -> Exception:
        text = str(error)
        if _LOCKED in text:
            return LockedError(
                f"Another process has {self._path} open. Wait until it is done, then run the same "
                "command again."
            )
        if _UNWRITABLE.search(text):
            return StorageError(
                f"Cannot write {self._path}: {text.splitlines()[0]}. Free some space or fix the "
                "permissions, then run the same command again. Everything indexed so far is kept."
            )
        return _DamagedError(
            f"Cannot use {self._path}: {text.splitlines()[0].rstrip('.!')}. Run: localembed doctor "
            "--repair (everything indexed so far is kept)"
        )

    def _is_older(self) -> bool:
        """Tell whether the file is a manifest of an older version, in one piece."""
        import duckdb

        try:
            with duckdb.connect(str(self._path), read_only=True, config=DUCKDB_SETTINGS) as con:
                return is_older_schema(con)
        except duckdb.Error:
            return False

    def set_aside(self) -> None:
        """Rename an unreadable manifest, so that it is rebuilt and can be inspected.

        One of an older schema is deleted: it is not damaged.
        """
        if self._read_only:
            return
        if self._is_older():
            self._path.unlink()
            return
        for suffix in ("", ".wal"):
            path = self._path.with_name(self._path.name + suffix)
            if os.path.lexists(path):
                target = path.with_name(f"{path.name}.damaged")
                if target.is_dir() and not target.is_symlink():
                    shutil.rmtree(target)
                path.replace(target)


@cache
def _expected_contents() -> list[Any]:
    """Return what a manifest of this version defines, as SQL."""
    import duckdb

    with duckdb.connect(":memory:", config=DUCKDB_SETTINGS) as con:
        con.execute(SCHEMA)
        return contents(con)


def extensions_are_off() -> bool:
    """Tell whether DuckDB, with the settings used here, neither fetches nor loads extensions."""
    import duckdb

    names = [name for name in DUCKDB_SETTINGS if "extensions" in name]
    columns = ", ".join(f"current_setting('{name}')" for name in names)
    with duckdb.connect(":memory:", config=DUCKDB_SETTINGS) as con:
        row = con.execute(f"SELECT {columns}").fetchone()
    return row is not None and not any(row)


def _update_files(con: duckdb.DuckDBPyConnection, table: str, synced: Synced) -> None:
    if synced.gone:
        con.execute(
            "DELETE FROM lance_files WHERE table_name = ? "
            "AND name IN (SELECT unnest(?::VARCHAR[]))",
            [table, list(synced.gone)],
        )
    if synced.new:
        with con.appender("lance_files", action="upsert") as appender:
            appender.append_rows([(table, file.name, file.size, file.xxh3) for file in synced.new])


class _DamagedError(StorageError):
    """The manifest cannot be read."""
