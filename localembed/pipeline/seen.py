"""Which chunk hashes a run has written: 8 MB for a million, so no table is searched in vain."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import numpy as np


class SeenHashes:
    """A set of hashes by their first eight bytes; it may say yes wrongly, never no."""

    def __init__(self) -> None:
        """Begin empty."""
        self._prefixes = np.zeros(0, np.uint64)

    def add(self, hashes: Iterable[bytes]) -> None:
        """Remember hashes (16 bytes each)."""
        self._prefixes = np.union1d(self._prefixes, _prefixes(list(hashes)))

    def among(self, hashes: Collection[bytes]) -> list[bytes]:
        """Return those that may have been added."""
        if not len(self._prefixes) or not hashes:
            return []
        asked = list(hashes)
        known = np.isin(_prefixes(asked), self._prefixes)
        return [chunk_hash for chunk_hash, seen in zip(asked, known, strict=True) if seen]


def _prefixes(hashes: list[bytes]) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    return np.frombuffer(b"".join(chunk_hash[:8] for chunk_hash in hashes), np.uint64)
