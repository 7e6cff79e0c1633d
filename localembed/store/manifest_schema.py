"""The tables of the manifest in DuckDB, and how a record becomes a row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from localembed.types.documents import FileRecord, FileStat

if TYPE_CHECKING:
    import duckdb

SCHEMA_VERSION = 2
DUCKDB_SETTINGS = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "enable_external_access": "false",
    "threads": "2",
    "memory_limit": "512MB",
}
SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key VARCHAR PRIMARY KEY, value VARCHAR NOT NULL);
CREATE TABLE IF NOT EXISTS tables (
    name VARCHAR PRIMARY KEY, uuid VARCHAR NOT NULL, lance_version BIGINT NOT NULL
);
CREATE TABLE IF NOT EXISTS lance_files (
    table_name VARCHAR NOT NULL, name VARCHAR NOT NULL, size BIGINT NOT NULL, xxh3 BLOB NOT NULL,
    PRIMARY KEY (table_name, name)
);
CREATE TABLE IF NOT EXISTS files (
    table_name VARCHAR NOT NULL, doc_id BLOB NOT NULL, root_id VARCHAR NOT NULL,
    path BLOB NOT NULL, size BIGINT NOT NULL, mtime_ns BIGINT NOT NULL, ctime_ns BIGINT NOT NULL,
    inode UBIGINT NOT NULL, observed_ns BIGINT NOT NULL, content_hash BLOB NOT NULL,
    n_chunks INTEGER NOT NULL, run BIGINT NOT NULL, state VARCHAR NOT NULL,
    reason VARCHAR NOT NULL, noise_rules INTEGER NOT NULL, PRIMARY KEY (table_name, doc_id)
);
"""
COLUMNS = (
    "doc_id, root_id, path, size, mtime_ns, ctime_ns, inode, observed_ns, content_hash, n_chunks, "
    "run, state, reason, noise_rules"
)


def is_older_schema(con: duckdb.DuckDBPyConnection) -> bool:
    """Tell whether an open manifest is of an earlier schema than this version's."""
    found = con.execute("SELECT value FROM meta WHERE key = 'schema'").fetchall()
    return bool(found) and found[0][0].isdecimal() and int(found[0][0]) < SCHEMA_VERSION


def contents(con: duckdb.DuckDBPyConnection) -> list[Any]:
    """Return everything that a database defines, as SQL."""
    rows: list[Any] = con.execute(
        "SELECT sql FROM duckdb_tables() WHERE NOT internal UNION ALL "
        "SELECT sql FROM duckdb_views() WHERE NOT internal UNION ALL "
        "SELECT sql FROM duckdb_indexes() ORDER BY 1"
    ).fetchall()
    return rows


def from_row(row: tuple[object, ...]) -> FileRecord:
    """Return the record of a row, whose values are in the order of COLUMNS."""
    doc_id, root_id, path, size, mtime, ctime, inode, observed, content, n, *state = row
    run, state_name, reason, noise_rules = state
    return FileRecord(
        doc_id=doc_id,  # type: ignore[arg-type]
        root_id=root_id,  # type: ignore[arg-type]
        path=path,  # type: ignore[arg-type]
        stat=FileStat(size, mtime, ctime, inode),  # type: ignore[arg-type]
        observed_ns=observed,  # type: ignore[arg-type]
        content_hash=content,  # type: ignore[arg-type]
        n_chunks=n,  # type: ignore[arg-type]
        run=run,  # type: ignore[arg-type]
        state=state_name,  # type: ignore[arg-type]
        reason=reason,  # type: ignore[arg-type]
        noise_rules=noise_rules,  # type: ignore[arg-type]
    )


def to_row(record: FileRecord) -> tuple[object, ...]:
    """Return the values of a record in the order of COLUMNS."""
    stat = record.stat
    return (
        record.doc_id, record.root_id, record.path, stat.size, stat.mtime_ns, stat.ctime_ns,
        stat.inode, record.observed_ns, record.content_hash, record.n_chunks, record.run,
        record.state, record.reason, record.noise_rules,
    )  # fmt: skip
