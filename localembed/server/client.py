"""Ask the resident of a workspace; where there is none, or it fails, the caller does it itself."""

from __future__ import annotations

import os
import sys

from localembed.core.workspace_folder import find_workspace
from localembed.server import address, wire
from localembed.server.code_version import fingerprint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_SECONDS = 30.0
"""After that somebody else answers; a resident takes as long as any query, and has no start."""
_OWN_WORK = frozenset({"-", "-h", "--help", "--no-resident"})
"""What only a process of its own can do, such as reading stdin."""


def ask(arguments: Sequence[str]) -> int | None:
    """Print the answer to a command line and return its exit code; None if nobody answered.

    Args:
        arguments: of the program, `query` first.
    """
    if _OWN_WORK.intersection(arguments):
        return None
    workspace = _workspace(arguments)
    if workspace is None:
        return None
    answer = exchange(workspace, list(arguments))
    if answer is None or len(answer) != 3:
        return None
    code, out, err = answer
    _print(2, err)
    _print(1, out)
    return int(code)


def exchange(workspace: str, arguments: list[str]) -> list[bytes] | None:
    """Send a command line to the resident of a workspace and return what it says, None if nothing.

    Args:
        workspace: its folder.
        arguments: of the program; none at all asks it to stop.
    """
    found = address.connect(address.path_of(workspace), _SECONDS)
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
    """Return the environment, with the width of the terminal in it."""
    environment = dict(os.environ)
    if "COLUMNS" not in environment and os.isatty(1):
        environment["COLUMNS"] = str(os.get_terminal_size(1).columns)
    return environment


def _workspace(arguments: Sequence[str]) -> str | None:
    """Return the workspace that a command line means, None for the user-wide one.

    An abbreviated or broken option is Click's to complain of: nobody listens at a wrong place.
    """
    for place, word in enumerate(arguments):
        if word == "--":
            break
        if word.startswith("--workspace="):
            return os.path.abspath(os.path.expanduser(word.partition("=")[2]))
        if word == "--workspace" and place + 1 < len(arguments):
            return os.path.abspath(os.path.expanduser(arguments[place + 1]))
    found = find_workspace()
    if found is not None:
        return found
    from localembed.core import user_folders

    return str(user_folders.user_workspace())


def _print(number: int, data: bytes) -> None:
    """Write to stdout or stderr; a reader that has gone away is no error."""
    stream = sys.stdout if number == 1 else sys.stderr
    try:
        while data:
            data = data[os.write(stream.fileno(), data) :]
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), number)
