"""Where vectors of texts that were embedded before are found."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import pairwise
from typing import TYPE_CHECKING

from localembed.pipeline.written_hashes import WrittenHashes
from localembed.store.head import Head
from localembed.store.lance.table import ChunkTable
from localembed.store.layout import Layout
from localembed.store.pending_answers import PendingAnswers
from localembed.store.versions import read_versions
from localembed.types.tables import TableFacts

if TYPE_CHECKING:
    from localembed.types.arrays import Vector

_EARLIER_VERSIONS = 10
"""That are looked through for vectors of texts that come back."""


class StoredVectors:
    """The vectors of one space: of this run, of versions and tables before it, of paid answers."""

    def __init__(
        self,
        layout: Layout,
        facts: TableFacts,
        head: Head,
        table: ChunkTable | None,
        pending: PendingAnswers,
    ) -> None:
        """Pin the versions that may hold vectors when the run begins.

        Args:
            layout: the workspace.
            facts: of the table that is written.
            head: as readers see it.
            table: that is written; None before it is made.
            pending: answers of a remote model that no table has yet.
        """
        self._table = table
        self._sources = _sources(layout, facts, head, table)
        self._pending = pending
        self._written = WrittenHashes()
        """What this run has written: the only rows that no source of vectors holds."""

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
        return found

    def wrote(self, hashes: Iterable[bytes]) -> None:
        """Remember that the table has rows of these, whether or not they are safe yet."""
        self._written.add(hashes)


def _sources(
    layout: Layout, facts: TableFacts, head: Head, table: ChunkTable | None
) -> list[tuple[ChunkTable, int]]:
    """Return the versions that may hold vectors of this space when the run begins.

    The version that readers see is one (a rename is an add and a later delete), so are those
    before runs that removed something, and other tables of the space, unless they store fewer
    bits.
    """
    own = head.tables.get(facts.name)
    pinned = own.lance_version if own else 0
    earlier = [v for v in read_versions(layout) if v.table == facts.name]
    lost = [
        before.entry.lance_version
        for after, before in pairwise(earlier)
        if after.removed or after.run > before.run + 1
    ]
    sources: list[tuple[ChunkTable, int]] = []
    if table is not None:
        every = (table.version, pinned, *lost[:_EARLIER_VERSIONS])
        sources = [(table, version) for version in dict.fromkeys(every) if version > 1]
    for name, entry in head.tables.items():
        same_space = entry.space_id == facts.space_id
        enough = entry.vector_type in (facts.vector_type, "float32")
        if name != facts.name and same_space and enough:
            sources.append((ChunkTable.open(layout, name), entry.lance_version))
    return sources
