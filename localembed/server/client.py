"""Send a query to a workspace's resident; if none answers, the caller runs the query itself."""

from __future__ import annotations

import os
import sys

from localembed.core.ownership import objection
from localembed.core.workspace_folder import find_workspace, named_workspace
from localembed.server import address, wire
from localembed.server.code_version import fingerprint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_UNWRITABLE = 5
_TIMEOUT_SECONDS = 30.0
"""Seconds to wait for the resident before the caller runs the query itself."""
_LOCAL_ARGUMENTS = frozenset({"-", "-h", "--help", "--no-resident"})
"""Arguments that only the caller's own process can handle, such as reading stdin."""


def ask(arguments: Sequence[str]) -> int | None:
    """Print the answer to a command line and return its exit code, None if no resident answered.

    Args:
        arguments: the program's arguments, `query` first.
    """
    if _LOCAL_ARGUMENTS.intersection(arguments):
        return None
    workspace = _workspace(arguments)
    if workspace is None:
        return None
    answer = exchange(workspace, list(arguments))
    if answer is None or len(answer) != 3:
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


def exchange(workspace: str, arguments: list[str]) -> list[bytes] | None:
    """Send a command line to a workspace's resident and return its reply, None if there is none.

    Args:
        workspace: the workspace's folder.
        arguments: the program's arguments; an empty list tells the resident to exit.
    """
    found = address.connect(address.path_of(workspace), _TIMEOUT_SECONDS)
    if found is None:
        return None
    connection, token = found
    terminals = "".join("x" if os.isatty(number) else "-" for number in (1, 2))
    environment = [f"{name}={value}" for name, value in _environment().items()]
    words = [fingerprint(), os.getcwd(), terminals, str(len(arguments)), *arguments, *environment]
    with connection:
        try:
            wire.send(connection, [token, *(os.fsencode(word) for word in words)])
            return wire.receive(connection)
        except OSError:
            return None


def _environment() -> dict[str, str]:
    """Return the environment, including the width of the terminal."""
    environment = dict(os.environ)
    if "COLUMNS" not in environment and os.isatty(1):
        environment["COLUMNS"] = str(os.get_terminal_size(1).columns)
    return environment


def _workspace(arguments: Sequence[str]) -> str | None:
    """Return the folder of the workspace that a command line selects.

    Abbreviated and invalid options are left to Click: no resident listens at a wrong address.
    """
    for place, word in enumerate(arguments):
        if word == "--":
            break
        if word.startswith("--workspace="):
            return os.path.abspath(os.path.expanduser(word.partition("=")[2]))
        if word == "--workspace" and place + 1 < len(arguments):
            return os.path.abspath(os.path.expanduser(arguments[place + 1]))
    if named := named_workspace():
        return named
    start = os.getcwd()
    found = find_workspace(start)
    if found is not None:
        # The caller decides about one that may be another user's, and says what is wrong.
        return None if objection(found, start) else found
    from localembed.core import user_folders

    return str(user_folders.user_workspace())


def _print(number: int, data: bytes) -> None:
    """Write to stdout or stderr; a closed pipe is not an error, nor a stream that was closed."""
    stream = sys.stdout if number == 1 else sys.stderr
    try:
        while data and stream is not None:
            data = data[os.write(stream.fileno(), data) :]
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), number)
