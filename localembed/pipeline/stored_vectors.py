"""Find vectors of texts that were embedded before."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import pairwise
from typing import TYPE_CHECKING

from localembed.pipeline.written_hashes import WrittenHashes
from localembed.store.head import Head
from localembed.store.lance.table import ChunkTable
from localembed.store.layout import Layout
from localembed.store.pending_vectors import PendingVectors
from localembed.store.versions import read_versions
from localembed.types.tables import TableFacts

if TYPE_CHECKING:
    from localembed.types.arrays import Vector

_EARLIER_VERSIONS = 10
"""Maximum earlier versions to search for vectors of texts that were removed and come back."""


class StoredVectors:
    """The vectors of one space: of this run, of earlier versions, of other tables, of none yet."""

    def __init__(
        self,
        layout: Layout,
        facts: TableFacts,
        head: Head,
        table: ChunkTable | None,
        pending: PendingVectors,
    ) -> None:
        """Pin the versions that may hold vectors when the run begins.

        Args:
            layout: the workspace.
            facts: facts of the table to write.
            head: the published head.
            table: the table to write; None if it does not exist yet.
            pending: vectors that are not in a table yet.
        """
        self._table = table
        self._sources = _sources(layout, facts, head, table)
        self._pending = pending
        self._written = WrittenHashes()
        """Hashes of rows that this run has written, which are in none of the sources."""

    def look_up(self, hashes: Collection[bytes]) -> dict[bytes, Vector]:
        """Return the vectors that are stored for chunk hashes in this space."""
        found = self._pending.vectors(hashes)
        written = self._written.among([key for key in hashes if key not in found])
        if written and self._table is not None:
            found.update(self._table.vectors(written))
        for table, version in self._sources:
            missing = [chunk_hash for chunk_hash in hashes if chunk_hash not in found]
            if missing:
                found.update(table.vectors(missing, version))
        # Older versions of localembed stored what their type could not hold as zeros.
        return {key: vector for key, vector in found.items() if vector.any()}

    def wrote(self, hashes: Iterable[bytes]) -> None:
        """Record that the table has rows of these hashes, durable or not."""
        self._written.add(hashes)


def _sources(
    layout: Layout, facts: TableFacts, head: Head, table: ChunkTable | None
) -> list[tuple[ChunkTable, int]]:
    """Return the versions that may hold vectors of this space when the run begins.

    They are the published version (a rename is an add and a later delete), versions before runs
    that removed something, and other tables of the space, unless they store fewer bits.
    """
    published = head.tables.get(facts.name)
    pinned = published.lance_version if published else 0
    earlier = [v for v in read_versions(layout) if v.table == facts.name]
    lost = [
        before.entry.lance_version
        for after, before in pairwise(earlier)
        if after.removed or after.run > before.run + 1
    ]
    sources: list[tuple[ChunkTable, int]] = []
    if table is not None:
        versions = (table.version, pinned, *lost[:_EARLIER_VERSIONS])
        sources = [(table, version) for version in dict.fromkeys(versions) if version > 1]
    for name, entry in head.tables.items():
        same_space = entry.space_id == facts.space_id
        precise = entry.vector_type in (facts.vector_type, "float32")
        if name != facts.name and same_space and precise:
            sources.append((ChunkTable.open(layout, name), entry.lance_version))
    return sources
