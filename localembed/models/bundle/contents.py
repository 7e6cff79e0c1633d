"""What a bundle says of itself: its first member, written before everything else."""

from __future__ import annotations

import json
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
"""Raise it when an older localembed cannot read what is written now."""
INDEX = "index/"
"""Before the names of a workspace's files; a model's stand below models/NAME/."""


@dataclass(frozen=True, slots=True)
class Member:
    """One file of a bundle."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Contents:
    """Everything that is in a bundle."""

    models: tuple[ModelSpec, ...]
    members: tuple[Member, ...]
    """In the order in which they stand in the file."""
    chunks: int = 0
    """Of the index; 0 without one."""

    @property
    def has_index(self) -> bool:
        """Whether a workspace's index is in it."""
        return any(member.name.startswith(INDEX) for member in self.members)

    @property
    def bytes(self) -> int:
        """Of all members."""
        return sum(member.size for member in self.members)


def model_member(model: str, file: str) -> str:
    """Return the name that a file of a model has in a bundle."""
    return f"models/{model}/{file}"


def dumped(contents: Contents) -> bytes:
    """Return the first member of a bundle: the same bytes for the same contents."""
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
    """Return what the first member of a bundle says.

    Args:
        data: of the member.
        where: the bundle lies, for the message.

    Raises:
        BundleError: it is damaged, or written by a newer localembed.
    """
    try:
        value = json.loads(data)
        digest = value.pop("digest")
        is_whole = digest == fingerprint(value)
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise BundleError(f"{where} is damaged: its list of contents cannot be read.") from error
    if not is_whole:
        raise BundleError(f"{where} is damaged: its list of contents has another digest.")
    _check_formats(value, where)
    try:
        return Contents(
            models=tuple(_model(where, name, block) for name, block in value["models"].items()),
            members=tuple(map(_member, value["members"])),
            chunks=_count(value["chunks"]),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise BundleError(f"{where} is no bundle that can be read: {error!r}.") from error


def _model(where: str, name: str, block: object) -> ModelSpec:
    """Return a model that lies in a bundle.

    Raises:
        BundleError: it is a server's: whoever made the bundle would be told a key.
        RegistryError: its block says something impossible.
    """
    spec = checked_spec(f"{where}, model {name}", name, block)
    if spec.remote is not None:
        raise BundleError(f"{where} is refused: model '{name}' is a server's, not one in a bundle.")
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
