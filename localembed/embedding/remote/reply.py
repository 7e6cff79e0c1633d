"""Strict checks of a provider's answer: clients that trust it store broken vectors."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from localembed.errors import TransientError, WrongModelError

if TYPE_CHECKING:
    from localembed.types.arrays import Vector, VectorMatrix
    from localembed.types.models import RemoteSpec

_SHOWN_CHARS = 120
_NUMBERS = frozenset({int, float})
_MAX_TOKENS = 1 << 40
"""Maximum plausible token count of one answer."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A checked answer."""

    vectors: VectorMatrix
    """(inputs, dim) float32, row i for input i."""
    tokens: int | None
    """Tokens billed; None if the provider does not say."""


def largest_reply(count: int, dim: int) -> int:
    """Return the maximum bytes of a valid answer: a number takes up to 25 as text."""
    return (1 << 20) + count * (dim * 32 + 1024)


def read_reply(body: bytes, count: int, dim: int, remote: RemoteSpec) -> Reply:
    """Return the vectors of an answer, in the order of the inputs.

    Args:
        body: the body of the response.
        count: number of inputs.
        dim: dimensions of a vector.
        remote: the requested model.

    Raises:
        TransientError: the answer is invalid or does not match the inputs.
        WrongModelError: another model answered.
    """
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        raise TransientError(f"an answer that is not JSON: {_shown(body)}") from None
    if not isinstance(answer, dict) or "error" in answer or "data" not in answer:
        raise TransientError(f"an answer without vectors: {_shown(body)}")
    tokens = _tokens(answer.get("usage"))
    try:
        return Reply(_vectors(answer, count, dim, remote), tokens)
    except TransientError as fault:
        fault.billed = tokens or 0
        raise


def _vectors(answer: dict[str, Any], count: int, dim: int, remote: RemoteSpec) -> VectorMatrix:
    """Return the vectors of an answer that contains data (see `read_reply`)."""
    _check_model(answer.get("model"), remote)
    items = answer["data"]
    if not isinstance(items, list) or len(items) != count:
        found = len(items) if isinstance(items, list) else "no"
        raise TransientError(f"{found} vectors for {count} texts")
    vectors = [_vector(item) for item in _in_order(items)]
    lengths = {len(vector) for vector in vectors}
    if len(lengths) == 1 and lengths != {dim}:
        raise WrongModelError(f"vectors of {lengths.pop()} dimensions, and models.toml says {dim}")
    if lengths != {dim}:
        raise TransientError(f"vectors of different lengths: {sorted(lengths)}")
    matrix = np.stack(vectors)
    if not np.isfinite(matrix).all():
        raise TransientError("a vector that is not finite")
    if not matrix.any(axis=1).all():
        raise TransientError("a vector of zeros")
    return matrix


def _check_model(name: object, remote: RemoteSpec) -> None:
    """Compare names; a provider may append a version to the requested name, or omit it."""
    if not isinstance(name, str) or not name:
        return
    if not name.startswith(remote.model) and name != remote.answers_as:
        reason = (
            f"an answer from model '{name}' instead of '{remote.model}'. If they are the same, "
            f'say so in models.toml: answers_as = "{name}"'
        )
        raise WrongModelError(reason)


def _in_order(items: list[Any]) -> list[Any]:
    """Return the items by their index, whatever order they came in."""
    places: list[Any] = [item.get("index") if isinstance(item, dict) else None for item in items]
    if not all(type(place) is int for place in places) or sorted(places) != [*range(len(items))]:
        raise TransientError("vectors with missing or duplicate indexes")
    ordered: list[Any] = [None] * len(items)
    for place, item in zip(places, items, strict=True):
        ordered[place] = item
    return ordered


def _vector(item: dict[str, Any]) -> Vector:
    """Return one vector, from base64 of little-endian float32 or from a list of numbers."""
    raw = item.get("embedding")
    try:
        if isinstance(raw, str):
            return np.frombuffer(base64.b64decode(raw, validate=True), "<f4").astype(np.float32)
        # NumPy would also take booleans, null and numbers in quotes.
        if not isinstance(raw, list) or not _NUMBERS.issuperset(map(type, raw)):
            raise TransientError("a vector that is not a list of numbers")
        vector = np.array(raw, np.float64)
    except (ValueError, TypeError, OverflowError, binascii.Error):
        raise TransientError("a vector that cannot be read") from None
    with np.errstate(over="ignore"):
        return vector.astype(np.float32)


def _tokens(usage: object) -> int | None:
    if not isinstance(usage, dict):
        return None
    for name in ("total_tokens", "prompt_tokens"):
        if type(usage.get(name)) is int and 0 <= usage[name] < _MAX_TOKENS:
            return int(usage[name])
    return None


def _shown(body: bytes) -> str:
    text = " ".join(body[: 4 * _SHOWN_CHARS].decode("utf-8", "replace").split())
    return f"{text[:_SHOWN_CHARS]}…" if len(text) > _SHOWN_CHARS else text or "nothing"
