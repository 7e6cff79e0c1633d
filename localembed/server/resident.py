"""The resident process: it answers the queries of one workspace until nobody asks any more."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

from filelock import FileLock, Timeout

from localembed.server import address, wire
from localembed.server.code_version import fingerprint

_CLIENT_SECONDS = 5.0
"""For a client to say what it wants."""
_REFUSED = b""


@dataclass(frozen=True, slots=True)
class Request:
    """One command line, with what it depends on."""

    arguments: tuple[str, ...]
    """Empty: the resident shall end."""
    folder: str
    environment: Mapping[str, str]
    terminals: tuple[bool, bool]
    """Whether stdout and stderr are terminals."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command printed."""

    code: int
    out: bytes
    err: bytes


class _Stopped(BaseException):  # no error: nothing that handles errors may catch it
    """A signal asked for the end."""


def serve(
    workspace: Path,
    answer: Callable[[Request], Answer],
    warm: Callable[[], None],
    idle_seconds: float,
) -> bool:
    """Answer until nobody has asked for a while; return False at once if another does it already.

    Args:
        workspace: its folder.
        answer: carries out one command line; called for one client after the other.
        warm: called once before anybody can ask.
        idle_seconds: how long to wait for the next client.

    Raises:
        OSError: there is no place for a socket that only this user can reach.
    """
    path = address.path_of(str(workspace))
    address.make_private(str(Path(path).parent))
    lock = FileLock(f"{path}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    with lock, _ended_by_signals():
        warm()
        listener, token = address.listen(path)
        try:
            with listener:
                _serve_clients(listener, token, answer, idle_seconds)
        finally:
            address.remove(path)
    return True


def _serve_clients(
    listener: socket.socket, token: bytes, answer: Callable[[Request], Answer], idle_seconds: float
) -> None:
    own_code = fingerprint()
    while True:
        listener.settimeout(idle_seconds)
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            return
        with connection:
            connection.settimeout(_CLIENT_SECONDS)
            # A client that went away, or stays silent, is its own affair.
            with contextlib.suppress(OSError):
                if not _serve_client(connection, token, own_code, answer):
                    return


def _serve_client(
    connection: socket.socket, token: bytes, own_code: str, answer: Callable[[Request], Answer]
) -> bool:
    """Answer one client; return False if the resident shall end."""
    parts = wire.receive(connection) if address.is_same_user(connection) else None
    if parts is None or len(parts) < 5 or parts[0] != token:
        return True
    try:
        code, request = _understood(parts)
    except ValueError:
        return True
    if code != own_code or not request.arguments:
        wire.send(connection, [_REFUSED])
        return False
    found = answer(request)
    wire.send(connection, [str(found.code).encode(), found.out, found.err])
    return True


def _understood(parts: Sequence[bytes]) -> tuple[str, Request]:
    """Return a client's code and request (see `client.exchange`).

    Raises:
        ValueError: it is something else.
    """
    code, folder, terminals, count, *words = (os.fsdecode(part) for part in parts[1:])
    arguments, pairs = words[: int(count)], words[int(count) :]
    environment = dict(pair.split("=", 1) for pair in pairs)
    out, err = (mark == "x" for mark in terminals)
    return code, Request(tuple(arguments), folder, environment, (out, err))


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let SIGTERM, SIGINT and SIGHUP end it in order, without a word."""

    def stop(_number: int, _frame: FrameType | None) -> NoReturn:
        raise _Stopped

    for name in ("SIGTERM", "SIGINT", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), stop)
    with contextlib.suppress(_Stopped):
        yield
