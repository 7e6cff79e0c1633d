"""Which texts go together in one request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from localembed.types.models import ModelInput, RemoteSpec

_FEWEST = 64
_SPREAD = 8
"""Requests that a window is spread over, so that they can be answered side by side."""


@dataclass(frozen=True, slots=True)
class Part:
    """Some rows of what is to be embedded, and how much they are."""

    rows: tuple[int, ...]
    texts: tuple[str, ...]
    keys: tuple[bytes, ...]
    tokens: int

    def halves(self) -> tuple[Part, Part]:
        """Return two parts of it; tokens are divided as the characters are."""
        middle = len(self.rows) // 2
        characters = sum(map(len, self.texts))
        head = self.tokens * sum(map(len, self.texts[:middle])) // max(1, characters)
        return (
            Part(self.rows[:middle], self.texts[:middle], self.keys[:middle], max(1, head)),
            Part(self.rows[middle:], self.texts[middle:], self.keys[middle:],
                 max(1, self.tokens - head)),
        )  # fmt: skip


def make_requests(inputs: Sequence[ModelInput], remote: RemoteSpec) -> list[Part]:
    """Return the inputs in parts that a server takes, in their order.

    OpenAI counts a quarter of a token for every byte before it counts for real, so that bytes have
    a limit of their own (https://github.com/timescale/pgai/pull/730). An input that is too large
    alone is a part of its own.
    """
    most = min(remote.max_inputs, max(_FEWEST, -(-len(inputs) // _SPREAD)))
    parts: list[list[int]] = []
    tokens = size = 0
    sizes = [len(item.text.encode("utf-8", "replace")) for item in inputs]
    for row, item in enumerate(inputs):
        tokens += len(item.token_ids)
        size += sizes[row]
        fits = tokens <= remote.max_request_tokens and size <= remote.max_request_bytes
        if parts and fits and len(parts[-1]) < most:
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
    """Return the text itself, or a copy with question marks for what UTF-8 has no bytes for."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text
