"""Grouping of texts into requests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from localembed.types.models import ModelInput, RemoteSpec

_MIN_INPUTS = 64
_REQUESTS_PER_WINDOW = 8
"""Requests that a window is spread over, so that they can be answered concurrently."""


@dataclass(frozen=True, slots=True)
class Part:
    """The inputs of one request."""

    rows: tuple[int, ...]
    texts: tuple[str, ...]
    keys: tuple[bytes, ...]
    tokens: int

    def halves(self) -> tuple[Part, Part]:
        """Split it in two; tokens are divided in proportion to characters."""
        middle = len(self.rows) // 2
        characters = sum(map(len, self.texts))
        head = self.tokens * sum(map(len, self.texts[:middle])) // max(1, characters)
        return (
            Part(self.rows[:middle], self.texts[:middle], self.keys[:middle], max(1, head)),
            Part(self.rows[middle:], self.texts[middle:], self.keys[middle:],
                 max(1, self.tokens - head)),
        )  # fmt: skip


def make_requests(inputs: Sequence[ModelInput], remote: RemoteSpec) -> list[Part]:
    """Group inputs, in order, into parts within the provider's limits.

    OpenAI first counts a quarter of a token per byte before it counts exactly, so that bytes have
    their own limit (https://github.com/timescale/pgai/pull/730). An input that is too large alone
    is a part of its own.
    """
    max_inputs = min(remote.max_inputs, max(_MIN_INPUTS, -(-len(inputs) // _REQUESTS_PER_WINDOW)))
    parts: list[list[int]] = []
    tokens = size = 0
    sizes = [len(item.text.encode("utf-8", "replace")) for item in inputs]
    for row, item in enumerate(inputs):
        tokens += len(item.token_ids)
        size += sizes[row]
        fits = tokens <= remote.max_request_tokens and size <= remote.max_request_bytes
        if parts and fits and len(parts[-1]) < max_inputs:
            parts[-1].append(row)
        else:
            parts.append([row])
            tokens, size = len(item.token_ids), sizes[row]
    return [_part(inputs, rows) for rows in parts]


def _part(inputs: Sequence[ModelInput], rows: Sequence[int]) -> Part:
    chosen = [inputs[row] for row in rows]
    return Part(
        rows=tuple(rows),
        texts=tuple(_sendable(item.text) for item in chosen),
        keys=tuple(item.key for item in chosen),
        tokens=max(1, sum(len(item.token_ids) for item in chosen)),
    )


def _sendable(text: str) -> str:
    """Return the text, with question marks for characters that UTF-8 cannot encode."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text
