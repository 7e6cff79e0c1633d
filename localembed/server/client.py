"""Send a query to the resident; if none answers, the caller runs the query itself."""

from __future__ import annotations

import os
import sys

from localembed.core import terminal
from localembed.server import address, wire
from localembed.server.code_version import fingerprint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_UNWRITABLE = 5
_TIMEOUT_SECONDS = 30.0
"""Seconds to wait for the resident before the caller runs the query itself."""
_LOCAL_ARGUMENTS = frozenset({"-", "-h", "--help", "--no-resident"})
"""Arguments that only the caller's own process can handle, such as reading stdin."""
_PREFIX = "LOCALEMBED_"
_TIME_ZONE = "TZ"
"""The variable that decides which moment a date is."""


def ask(arguments: Sequence[str]) -> int | None:
    """Print the answer to a command line and return its exit code, None if no resident answered.

    Args:
        arguments: the program's arguments, `query` or `search` first.
    """
    if _LOCAL_ARGUMENTS.intersection(arguments) or not _writes_utf8():
        return None
    answer = _answer(arguments[1:])
    if answer is None:
        return None
    code, out, err = answer
    _print(2, err)
    try:
        _print(1, out)
    except OSError as error:
        from localembed.core.text import unwritable_output

        _print(2, os.fsencode(f"{unwritable_output(error)}\n"))
        return _UNWRITABLE
    return int(code)


def exchange(
    kind: bytes, parts: Iterable[bytes] = (), seconds: float = _TIMEOUT_SECONDS
) -> list[bytes] | None:
    """Send a request to the resident and return its reply, None if there is none.

    Args:
        kind: kind of the request.
        parts: the rest of the request (see `wire`).
        seconds: how long to wait for each part of the reply.
    """
    found = address.connect(address.path(), seconds)
    if found is None:
        return None
    connection, token = found
    with connection:
        try:
            wire.send(connection, [token, os.fsencode(fingerprint()), kind, *parts])
            return wire.receive(connection)
        except OSError:
            return None


def _answer(words: Sequence[str]) -> list[bytes] | None:
    """Return the exit code, stdout and stderr of a query."""
    variables = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(_PREFIX) or name == _TIME_ZONE
    }
    for _ in range(2):  # the resident may ask for variables, once
        reply = exchange(wire.QUERY, _query(words, variables))
        if not reply:
            return None
        kind, *rest = reply
        if kind == wire.ANSWER and len(rest) == 3:
            return rest
        if kind != wire.VARIABLES:
            return None
        names = map(os.fsdecode, rest)
        variables |= {name: os.environ.get(name, "") for name in names}
    return None


def _writes_utf8() -> bool:
    """Tell whether stdout is closed or has the encoding of the resident's answers."""
    encoding = sys.stdout.encoding if sys.stdout is not None else "utf-8"
    return encoding.lower().replace("_", "-") in ("utf-8", "utf8")


def _query(words: Sequence[str], variables: dict[str, str]) -> list[bytes]:
    facts = (os.isatty(1), os.isatty(2), terminal.supports_links(), terminal.is_plain())
    marks = "".join("x" if fact else "-" for fact in facts)
    try:
        folder = os.getcwd()
    except OSError:  # it was deleted
        folder = ""
    pairs = [f"{name}={value}" for name, value in variables.items()]
    home, columns = os.path.expanduser("~"), str(terminal.columns())
    message = [folder, home, columns, marks, str(len(pairs)), *pairs, *words]
    return [os.fsencode(text) for text in message]


def _print(number: int, data: bytes) -> None:
    """Write to stdout or stderr; a closed pipe is not an error, nor a stream that was closed."""
    stream = sys.stdout if number == 1 else sys.stderr
    try:
        while data and stream is not None:
            data = data[os.write(stream.fileno(), data) :]
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), number)
