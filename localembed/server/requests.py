"""The requests of clients as records; what a client sends is checked here."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class QueryRequest:
    """A command line of `query`, with what its meaning and the form of its answer depend on."""

    words: tuple[str, ...]
    """Arguments after `query`."""
    folder: str
    """Absolute path of the client's current folder; it is never entered."""
    home: str
    columns: int
    terminals: tuple[bool, bool]
    """Whether stdout and stderr are terminals."""
    shows_links: bool
    is_plain: bool
    """Whether the client wants no colours unless it asks for them."""
    variables: Mapping[str, str]
    """The client's `LOCALEMBED_` variables, its time zone, and others that it was asked for."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The exit code and output of a command."""

    code: int
    out: bytes
    err: bytes


def read_query(parts: Sequence[bytes]) -> QueryRequest:
    """Return the query in a message (see `wire`).

    Raises:
        ValueError: the message is malformed.
    """
    if any(b"\0" in part for part in parts):
        message = "neither arguments nor variables can contain NUL"
        raise ValueError(message)
    folder, home, columns, marks, count, *words = map(os.fsdecode, parts)
    if not os.path.isabs(folder) or set(marks) - {"x", "-"}:  # noqa: PTH117 - a string
        message = "the working folder or the marks are malformed"
        raise ValueError(message)
    number = int(count)
    if not 0 <= number <= len(words):
        message = "the number of variables is wrong"
        raise ValueError(message)
    variables = dict(pair.split("=", 1) for pair in words[:number])
    out, err, links, plain = (mark == "x" for mark in marks)
    arguments = tuple(words[number:])
    return QueryRequest(arguments, folder, home, int(columns), (out, err), links, plain, variables)
