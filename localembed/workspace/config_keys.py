"""Every key that a workspace's config.toml may have, with what it may reach outside.

A workspace may have come with a folder from another user, so a key that is missing here is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum


class Reach(Enum):
    """What a key may reach outside of the workspace's parent folder."""

    NOTHING = "nothing"
    FOLDER = "a folder elsewhere"
    """Refused until the user names the root on a command line or trusts the workspace."""
    SERVER = "a remote model"
    """Refused until the user chooses the model on a command line or trusts the workspace."""
    NETWORK = "the network"
    """Always refused: only the user's own config.toml may set it."""


FILE: Mapping[str, Reach] = {
    "format": Reach.NOTHING,
    "id": Reach.NOTHING,
    "roots": Reach.FOLDER,
    "forgotten": Reach.NOTHING,
}
"""Keys of config.toml that are no settings."""
SETTINGS: Mapping[str, Reach] = {
    "model": Reach.SERVER,
    "preset": Reach.NOTHING,
    "chunk_tokens": Reach.NOTHING,
    "overlap": Reach.NOTHING,
    "dim": Reach.NOTHING,
    "vector_type": Reach.NOTHING,
    "precision": Reach.NOTHING,
    "device": Reach.NOTHING,
    "engine": Reach.NOTHING,
    "batch_tokens": Reach.NOTHING,
    "threads": Reach.NOTHING,
    "max_file_size": Reach.NOTHING,
    "top_k": Reach.NOTHING,
    "per_file": Reach.NOTHING,
    "mode": Reach.NOTHING,
    "commit_seconds": Reach.NOTHING,
    "keep_versions": Reach.NOTHING,
    "resident_minutes": Reach.NOTHING,
    "resident_memory": Reach.NOTHING,
    "allow_network": Reach.NETWORK,
}
"""Keys of config.toml that are settings."""
ROOT: Mapping[str, Reach] = {
    "id": Reach.NOTHING,
    "path": Reach.FOLDER,
    "path_hex": Reach.FOLDER,
    "include": Reach.NOTHING,
    "exclude": Reach.NOTHING,
    "hidden": Reach.FOLDER,
    "no_ignore": Reach.FOLDER,
    "removed": Reach.NOTHING,
    "removed_hex": Reach.NOTHING,
    "elsewhere": Reach.NOTHING,
}
"""Keys of a [[roots]] block."""


def unknown_keys(keys: Iterable[str], *tables: Mapping[str, Reach]) -> list[str]:
    """Return the keys that no table has, sorted."""
    return sorted(set(keys).difference(*tables))
