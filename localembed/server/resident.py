"""The resident process: it answers the queries of one workspace and exits when idle."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn, Protocol

from filelock import FileLock, Timeout

from localembed.server import address, wire
from localembed.server.code_version import fingerprint

_REQUEST_TIMEOUT_SECONDS = 5.0
"""Seconds to wait for a client's request."""
_REFUSED = b""
"""Reply that tells the client to run the query itself."""


@dataclass(frozen=True, slots=True)
class Request:
    """One command line with the state of the client that it depends on."""

    arguments: tuple[str, ...]
    """The program's arguments; empty to make the resident exit."""
    folder: str
    environment: Mapping[str, str]
    terminals: tuple[bool, bool]
    """Whether stdout and stderr are terminals."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The exit code and output of a command."""

    code: int
    out: bytes
    err: bytes


class _Stopped(BaseException):  # not an error: error handlers must not catch it
    """A signal told the resident to exit."""


class CommandRunner(Protocol):
    """Runs the command lines of clients."""

    def warm(self) -> None:
        """Open what the first query needs; called once, before the resident listens."""

    def run(self, request: Request, /) -> Answer:
        """Run one command line; called for one client at a time."""


def serve(workspace: Path, runner: CommandRunner, idle_seconds: float) -> bool:
    """Answer queries until idle; return False at once if another resident is already running.

    Args:
        workspace: the workspace's folder.
        runner: runs the command lines.
        idle_seconds: how long to wait for the next client.

    Raises:
        OSError: a socket that only this user can reach cannot be created.
    """
    path = address.path_of(str(workspace))
    address.make_private(str(Path(path).parent))
    lock = FileLock(f"{path}.lock", mode=0o600)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    with lock, _exit_on_signals():
        runner.warm()
        listener, token = address.listen(path)
        try:
            with listener:
                _serve_clients(listener, token, runner, idle_seconds)
        finally:
            address.remove(path)
    return True


def _serve_clients(
    listener: socket.socket,
    token: bytes,
    runner: CommandRunner,
    idle_seconds: float,
    request_seconds: float = _REQUEST_TIMEOUT_SECONDS,
) -> None:
    code_version = fingerprint()
    while True:
        listener.settimeout(idle_seconds)
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            return
        with connection:
            connection.settimeout(request_seconds)
            # Ignore clients that disconnect or send no request in time.
            with contextlib.suppress(OSError):
                if not _serve_client(connection, token, code_version, runner):
                    return


def _serve_client(
    connection: socket.socket, token: bytes, code_version: str, runner: CommandRunner
) -> bool:
    """Answer one client; return False if the resident must exit."""
    parts = wire.receive(connection) if address.is_same_user(connection) else None
    if parts is None or len(parts) < 5 or parts[0] != token:
        return True
    try:
        code, request = _parse(parts)
    except ValueError:
        return True
    if code != code_version or not request.arguments:
        wire.send(connection, [_REFUSED])
        return False
    result = runner.run(request)
    wire.send(connection, [str(result.code).encode(), result.out, result.err])
    return True


def _parse(parts: Sequence[bytes]) -> tuple[str, Request]:
    """Return a client's code version and request (see `client.exchange`).

    Raises:
        ValueError: the message is malformed.
    """
    code, folder, terminals, count, *words = (os.fsdecode(part) for part in parts[1:])
    arguments, pairs = words[: int(count)], words[int(count) :]
    environment = dict(pair.split("=", 1) for pair in pairs)
    out, err = (mark == "x" for mark in terminals)
    return code, Request(tuple(arguments), folder, environment, (out, err))


@contextlib.contextmanager
def _exit_on_signals() -> Iterator[None]:
    """Exit cleanly and silently on SIGTERM, SIGINT and SIGHUP."""

    def stop(_number: int, _frame: FrameType | None) -> NoReturn:
        raise _Stopped

    for name in ("SIGTERM", "SIGINT", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), stop)
    with contextlib.suppress(_Stopped):
        yield
