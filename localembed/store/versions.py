"""Versions that can be restored: the results of runs that Lance still has.

Lance keeps every version until a clean-up. Before a clean-up, the versions to keep become parents
of branches, which Lance's clean-up respects (see `table.clean`); so a run without a clean-up writes
nothing to keep its version.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from localembed.core.files import read_json, write_json
from localembed.errors import StorageError, UsageError
from localembed.store import runs
from localembed.store.head import Head, read_head, table_head
from localembed.store.lance.disk_names import versions_on_disk
from localembed.store.layout import Layout, is_table_name
from localembed.types.tables import TableHead, Version

_RUN = re.compile(r"[0-9]{1,15}")
_TAG = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,63}")


def read_versions(layout: Layout) -> list[Version]:
    """Return every version that can be restored, newest first, by file names alone.

    Only the records of runs since the oldest existing version are read.
    """
    head = read_head(layout)
    tags = read_tags(layout)
    present = {name: versions_on_disk(layout.table(name)) for name in head.tables}
    found = {v.run: v for run in set(tags.values()) if (v := _version(layout, run, tags))}
    tagged = {(version.table, version.entry.lance_version) for version in found.values()}
    oldest = {
        name: min((v for v in versions if (name, v) not in tagged), default=0)
        for name, versions in present.items()
    }
    for number in sorted(set(runs.claimed(layout)) - set(found), reverse=True):
        version = _version(layout, number, tags)
        if version is not None and version.table in oldest:
            found[number] = version
            if version.entry.lance_version < oldest[version.table]:
                del oldest[version.table]
        if not oldest:
            break
    for name, entry in head.tables.items():
        # After a clean-up or a kill, head.json may differ from the run's own record.
        version = found.get(entry.run) or Version(name, entry, "", 1, {}, _tags_of(entry.run, tags))
        found[entry.run] = replace(version, table=name, entry=entry)
    return [
        version
        for _, version in sorted(found.items(), reverse=True)
        if version.entry.lance_version in present.get(version.table, ())
        and version.entry.uuid == head.tables[version.table].uuid
    ]


def head_from_runs(layout: Layout) -> Head:
    """Rebuild the head from the records of runs: the newest existing version of each table.

    The default is the table of the newest run that published a complete one.
    """
    entries: dict[str, TableHead] = {}
    default = None
    for number in sorted(runs.claimed(layout), reverse=True):
        version = _version(layout, number, {})
        if version is None or version.table in entries:
            continue
        if version.entry.lance_version in versions_on_disk(layout.table(version.table)):
            entries[version.table] = version.entry
            default = default or (version.table if version.entry.complete else None)
    return Head(default or next(iter(entries), None), entries)


def find_version(layout: Layout, name: str) -> Version:
    """Return the version with a run number or a tag.

    Raises:
        UsageError: it does not exist, or was cleaned up.
    """
    number = read_tags(layout).get(name, int(name) if _RUN.fullmatch(name) else -1)
    found = next((entry for entry in read_versions(layout) if entry.run == number), None)
    if found is None:
        message = f"There is no version '{name}'. Run: localembed versions list"
        raise UsageError(message)
    return found


def tag(layout: Layout, name: str, run: int | None) -> None:
    """Add a tag to a run, or remove a tag. The caller holds the writer lock.

    Args:
        layout: the workspace.
        name: a letter, then letters, digits and ._-.
        run: the run's number; None removes the tag.

    Raises:
        UsageError: the name is not valid, or the tag to remove does not exist.
    """
    tags = read_tags(layout)
    if run is None and name not in tags:
        message = f"There is no tag '{name}'. Run: localembed versions list"
        raise UsageError(message)
    if not _TAG.fullmatch(name):
        message = f"'{name}' cannot be a tag: use a letter, then letters, digits and . _ - only."
        raise UsageError(message)
    others = {other: number for other, number in tags.items() if other != name}
    write_json(layout.tags, others if run is None else {**others, name: run})


def to_keep(versions: Sequence[Version], table: str, count: int) -> dict[int, int]:
    """Return run → Lance version of the versions that a clean-up of a table must keep.

    Args:
        versions: all versions, newest first.
        table: the table to clean up.
        count: number of newest versions to keep, at least one; tagged ones are kept as well.
    """
    candidates = [version for version in versions if version.table == table]
    kept = [*candidates[: max(1, count)], *(version for version in candidates if version.tags)]
    return {version.run: version.entry.lance_version for version in kept}


def aged_out(versions: Sequence[Version], head: Head, count: int) -> list[str]:
    """Return the tables that a clean-up may delete: replaced models and chunk sizes.

    Args:
        versions: all versions, newest first.
        head: its default table is kept.
        count: tables with one of this many newest versions are kept, or with a tagged one.
    """
    kept = {version.table for version in versions[:count]}
    kept |= {version.table for version in versions if version.tags}
    return [name for name in head.tables if name != head.default and name not in kept]


def read_tags(layout: Layout) -> dict[str, int]:
    """Return tag → run number.

    Raises:
        StorageError: the file is damaged.
    """
    try:
        tags = read_json(layout.tags)
        return {str(name): int(run) for name, run in tags.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, OverflowError) as error:
        message = f"{layout.tags} cannot be read: {error}. Run: localembed doctor --repair"
        raise StorageError(message) from error


def _version(layout: Layout, number: int, tags: Mapping[str, int]) -> Version | None:
    facts = runs.read_run(layout, number) or {}
    if not isinstance(facts.get("head"), dict) or not is_table_name(facts.get("table")):
        return None
    try:
        entry = table_head(facts["head"])
        # A killed run has no report: assume that it removed something.
        report = facts.get("report") or {"chunks": {"removed": 1}, "files": {}}
        removed, files = int(report["chunks"]["removed"]), dict(report["files"])
        return Version(facts["table"], entry, facts["at"], removed, files, _tags_of(number, tags))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return None


def _tags_of(number: int, tags: Mapping[str, int]) -> tuple[str, ...]:
    return tuple(sorted(name for name, run in tags.items() if run == number))
