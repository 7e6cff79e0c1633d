"""The table of contents of a bundle: its first member, written before everything else."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from localembed.core.hashing import fingerprint
from localembed.errors import BundleError
from localembed.models.blocks import checked_spec, spec_block
from localembed.store.layout import FORMAT as STORE_FORMAT
from localembed.types.models import ModelSpec

NAME = "bundle.json"
FORMAT = 1
"""Bundle format version; increase it when older versions cannot read new bundles."""
INDEX = "index/"
"""Prefix of a workspace's files; a model's files are below models/NAME/."""
INDEX_TABLE = re.compile(r"chunks_[0-9a-f]{12}")
"""Name of a table in an index."""
_INDEX_FILE = re.compile(
    r"config\.toml|head\.json|calibrations\.json|manifest\.duckdb|runs/([1-9]\d{0,9}|tags)\.json"
    rf"|vectors/{INDEX_TABLE.pattern}\.lance/([\w-][\w.-]*/)*[\w-][\w.-]*",
    re.ASCII,
)
MAX_MEMBERS = 50_000
MAX_JSON_BYTES = 16 << 20
"""Maximum size of the list of contents; with so many members of long names it is less."""
_MAX_VALUES = 6 * MAX_MEMBERS
"""Maximum number of JSON values in the list: three per member, and those of the models."""


@dataclass(frozen=True, slots=True)
class Member:
    """One file of a bundle."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Contents:
    """Everything in a bundle."""

    models: tuple[ModelSpec, ...]
    members: tuple[Member, ...]
    """Members in the order of the file."""
    chunks: int = 0
    """Chunks of the index; 0 without one."""

    @property
    def has_index(self) -> bool:
        """Whether it contains a workspace's index."""
        return any(member.name.startswith(INDEX) for member in self.members)

    @property
    def bytes(self) -> int:
        """Total size of all members."""
        return sum(member.size for member in self.members)


def is_index_file(name: str) -> bool:
    """Return whether a bundle may hold a file of a workspace, given relative to its folder."""
    return _INDEX_FILE.fullmatch(name) is not None


def model_member(model: str, file: str) -> str:
    """Return the member name of a model's file."""
    return f"models/{model}/{file}"


def dumped(contents: Contents) -> bytes:
    """Serialize the first member of a bundle: the same bytes for the same contents."""
    value = {
        "format": FORMAT,
        "store_format": STORE_FORMAT,
        "models": {spec.name: spec_block(spec) for spec in contents.models},
        "chunks": contents.chunks,
        "members": [asdict(member) for member in contents.members],
    }
    text = json.dumps({**value, "digest": fingerprint(value)}, indent=1, sort_keys=True)
    return text.encode() + b"\n"


def parsed(data: bytes, where: str) -> Contents:
    """Parse the first member of a bundle.

    Args:
        data: the member's bytes.
        where: where the bundle is, for the message.

    Raises:
        BundleError: it is damaged, or written by a newer localembed.
    """
    if sum(map(data.count, (b",", b"{", b"["))) > _MAX_VALUES:  # before any memory is taken
        raise BundleError(f"{where} is refused: its list of contents is too long.")
    try:
        value = json.loads(data)
        digest = value.pop("digest")
        is_whole = digest == fingerprint(value)
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise BundleError(f"{where} is damaged: its list of contents cannot be read.") from error
    if not is_whole:
        raise BundleError(f"{where} is damaged: its list of contents does not match its digest.")
    _check_formats(value, where)
    try:
        return Contents(
            models=tuple(_model(where, name, block) for name, block in value["models"].items()),
            members=tuple(map(_member, value["members"])),
            chunks=_count(value["chunks"]),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise BundleError(f"{where} is not a readable bundle: {error!r}.") from error


def _model(where: str, name: str, block: object) -> ModelSpec:
    """Return the spec of a model in a bundle.

    Raises:
        BundleError: it is a remote model, which could leak a key to the bundle's author.
        RegistryError: its block is invalid.
    """
    spec = checked_spec(f"{where}, model {name}", name, block)
    if spec.remote is not None:
        raise BundleError(f"{where} is refused: model '{name}' is remote; bundles hold only files.")
    return spec


def _member(entry: Mapping[str, Any]) -> Member:
    if not isinstance(entry["name"], str) or not isinstance(entry["sha256"], str):
        raise TypeError(entry)
    return Member(**{**entry, "size": _count(entry["size"])})


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError(value)
    return value


def _check_formats(value: Mapping[str, Any], where: str) -> None:
    for key, most in (("format", FORMAT), ("store_format", STORE_FORMAT)):
        found = value.get(key)
        if not isinstance(found, int) or isinstance(found, bool) or not 0 < found <= most:
            message = (
                f"{where} has {key.replace('_', ' ')} {found}; this localembed reads up to {most}. "
                "Install the localembed that wrote it, or a newer one."
            )
            raise BundleError(message)
