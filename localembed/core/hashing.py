"""Stable identities: xxh3-128 digests of bytes, documents and chunks."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

import xxhash

if TYPE_CHECKING:
    from collections.abc import Mapping

_READ_BYTES = 1 << 20


def digest(data: bytes) -> bytes:
    """Return the 16-byte xxh3-128 digest of `data`."""
    return xxhash.xxh3_128_digest(data)


def document_id(root_id: str, path: bytes, record_id: str = "") -> bytes:
    """Return a document's identity (16 bytes), which depends on its place, not its content.

    A path contains no NUL, so the three parts stay distinct.
    """
    return digest(b"\0".join((root_id.encode(), path, record_id.encode())))


def chunk_id(doc_id: bytes, chunk_hash: bytes, occurrence: int) -> bytes:
    """Return a chunk's identity (16 bytes), stable while its document and text are the same.

    Args:
        doc_id: identity of the document.
        chunk_hash: digest of the chunk's cleaned text.
        occurrence: how many equal chunks precede it in the same document.
    """
    return digest(doc_id + chunk_hash + occurrence.to_bytes(4, "big"))


def fingerprint(facts: Mapping[str, object]) -> str:
    """Return the hex digest of a mapping of plain values, regardless of its order."""
    return digest(json.dumps(facts, sort_keys=True, ensure_ascii=True).encode()).hex()


def digest_file(path: Path) -> bytes:
    """Return the 16-byte xxh3-128 digest of a file."""
    state = xxhash.xxh3_128()
    with path.open("rb") as file:
        while block := file.read(_READ_BYTES):
            state.update(block)
    return state.digest()


def sha256_file(path: Path) -> str:
    """Return the hex SHA-256 of a file, which is the hash that model hubs publish."""
    sha = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_READ_BYTES):
            sha.update(block)
    return sha.hexdigest()
