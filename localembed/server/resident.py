"""The resident process: a face of the service for the same user's command line, on a socket.

One loop reads all requests and writes all replies, so that a client that sends or reads slowly
keeps no other one waiting; threads answer. A request has a total deadline, a maximum size and a
place among a maximum number of connections.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hmac import compare_digest
from types import FrameType
from typing import Protocol

from localembed.core.panics import panics_as_errors
from localembed.server import address, single, wire
from localembed.server.code_version import fingerprint


@dataclass(frozen=True, slots=True)
class ResidentLimits:
    """Bounds on what clients can occupy."""

    request_seconds: float = 5.0
    """Seconds from the connection to the last byte of the request."""
    reply_seconds: float = 10.0
    """Seconds in which the client must have read the reply."""
    connections: int = 256
    """Maximum requests that are being read, above which the oldest one is dropped, and maximum
    requests that are being answered, above which others are refused."""
    threads: int = 32
    """Maximum requests that are answered at a time; more wait."""
    end_seconds: float = 5.0
    """Seconds in which requests may be finished when the process ends."""


class Answerer(Protocol):
    """Answers the requests of clients; called by several threads at once."""

    def warm(self) -> None:
        """Open what the first query needs; clients are already served meanwhile."""

    def answer(self, kind: bytes, parts: Sequence[bytes], /) -> list[bytes]:
        """Return the reply to a request (see `wire`).

        Raises:
            Exception: the request is malformed, or cannot be answered here; it is refused.
        """


def serve(
    answerer: Answerer,
    idle_seconds: float,
    lock: int | None = None,
    limits: ResidentLimits | None = None,
) -> bool:
    """Answer requests until idle; return False at once if another resident is already running.

    The lock is held until the process ends, so that `serve --stop` can wait for that.

    Args:
        answerer: answers requests.
        idle_seconds: how long to wait for the next request.
        lock: descriptor that holds the lock, if the starting process took it.
        limits: bounds on what clients can occupy.

    Raises:
        OSError: a socket that only this user can reach cannot be created.
    """
    path = address.path()
    address.make_private(os.path.dirname(path))  # noqa: PTH120 - a string
    lock = single.take(path) if lock is None else lock
    if lock is None:
        return False
    _on_signals(_end_early)  # clients can connect before the loop runs
    try:
        listener, token = address.listen(path)
        resident = _Resident(answerer, token, idle_seconds, limits or ResidentLimits())
        asyncio.run(resident.run(listener, path))
    except _EndedEarly:
        pass
    finally:
        address.remove(path)
    return True


class _EndedEarly(BaseException):
    """A signal arrived before the loop could take it."""


def _end_early(_number: int, _frame: FrameType | None) -> None:
    raise _EndedEarly


def _on_signals(handler: Callable[[int, FrameType | None], None]) -> None:
    """Call a handler on SIGTERM, SIGINT and SIGHUP."""
    for name in ("SIGTERM", "SIGINT", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), handler)


class _Resident:
    """The state of the loop; only the loop's thread changes it."""

    def __init__(
        self, answerer: Answerer, token: bytes, idle_seconds: float, limits: ResidentLimits
    ) -> None:
        self._answerer = answerer
        self._token = token
        self._idle_seconds = idle_seconds
        self._limits = limits
        self._code_version = fingerprint().encode("utf-8", "surrogateescape")
        self._pool = ThreadPoolExecutor(limits.threads, "localembed-answer")
        self._reading: dict[asyncio.Task[None], None] = {}
        """Tasks whose request is not complete, the oldest first."""
        self._answering: set[asyncio.Task[None]] = set()
        self._used_at = time.monotonic()

    async def run(self, listener: socket.socket, path: str) -> None:
        """Serve until idle, or until a client or a signal tells it to stop."""
        self._ending = asyncio.Event()
        self._stop_on_signals(asyncio.get_running_loop())
        start = asyncio.start_server if listener.family != _UNIX else asyncio.start_unix_server
        server = await start(self._serve_client, sock=listener, backlog=address.BACKLOG)
        warming = asyncio.get_running_loop().run_in_executor(self._pool, self._warm)
        await self._until_idle()
        address.remove(path)  # later clients start another resident
        server.close()
        for task in self._reading:
            task.cancel()
        await self._finish([*self._answering, warming])

    def _warm(self) -> None:
        with contextlib.suppress(Exception):  # the first query reports it
            self._answerer.warm()

    async def _until_idle(self) -> None:
        while not self._ending.is_set():
            left = self._used_at + self._idle_seconds - time.monotonic()
            if left <= 0 and not self._answering:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(left, 0.05)):
                    await self._ending.wait()

    async def _finish(self, unfinished: Sequence[asyncio.Future[None]]) -> None:
        _, late = await asyncio.wait(unfinished, timeout=self._limits.end_seconds)
        if late:  # Python would wait for their threads
            os._exit(0)
        self._pool.shutdown()

    def _stop_on_signals(self, loop: asyncio.AbstractEventLoop) -> None:
        """Exit cleanly and silently on SIGTERM, SIGINT and SIGHUP."""

        def stop(_number: int, _frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(self._ending.set)

        _on_signals(stop)

    async def _serve_client(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Read one request and write its reply; ignore clients that break off or are too slow."""
        task = asyncio.current_task()
        if task is None:
            return
        writer.transport.set_write_buffer_limits(0)
        try:
            parts = await self._read(task, reader, writer)
            if parts is not None:
                self._answering.add(task)
                await self._reply(parts, writer)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.CancelledError):
            return
        finally:
            self._answering.discard(task)
            writer.transport.abort()

    async def _read(
        self,
        task: asyncio.Task[None],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> list[bytes] | None:
        """Return a request of this user, None if it is malformed."""
        if not address.is_same_user(writer.get_extra_info("socket")):
            return None
        if len(self._reading) >= self._limits.connections:
            next(iter(self._reading)).cancel()
        self._reading[task] = None
        try:
            async with asyncio.timeout(self._limits.request_seconds):
                size = int.from_bytes(await reader.readexactly(wire.LENGTH), "big")
                if size > wire.MAX_REQUEST_BYTES:
                    return None
                return wire.unpack(await reader.readexactly(size))
        finally:
            self._reading.pop(task, None)

    async def _reply(self, parts: list[bytes], writer: asyncio.StreamWriter) -> None:
        if len(parts) < 3 or not compare_digest(parts[0], self._token):
            return
        _, code_version, kind, *rest = parts
        if kind == wire.STOP or code_version != self._code_version:
            reply = [wire.STOPPING if kind == wire.STOP else wire.REFUSED]
            self._ending.set()
        elif len(self._answering) > self._limits.connections:
            reply = [wire.REFUSED]
        else:
            reply = await self._answer(kind, rest)
        async with asyncio.timeout(self._limits.reply_seconds):
            writer.write(wire.pack(reply))
            await writer.drain()

    async def _answer(self, kind: bytes, parts: Sequence[bytes]) -> list[bytes]:
        run = asyncio.get_running_loop().run_in_executor
        reply = await run(self._pool, _answer, self._answerer.answer, kind, parts)
        if kind != wire.STATUS:  # looking at it is not using it
            self._used_at = time.monotonic()
        return reply


_UNIX = getattr(socket, "AF_UNIX", None)


def _answer(
    answer: Callable[[bytes, Sequence[bytes]], list[bytes]], kind: bytes, parts: Sequence[bytes]
) -> list[bytes]:
    """Return the reply, a refusal where there is none: the client then does the work itself."""
    try:
        with panics_as_errors():
            return answer(kind, parts)
    except Exception:  # noqa: BLE001 - no request may end the process
        return [wire.REFUSED]
