"""A server on the loopback that speaks OpenAI's protocol, with every fault that servers have.

It is written against the protocol and not against the client: bytes on a socket.
"""

from __future__ import annotations

import asyncio
import base64
import json
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

import numpy as np

from localembed.types.models import ModelSpec, RemoteSpec

DIM = 16


def vector(text: str, dim: int = DIM) -> np.ndarray:
    """The server's vector of a text: (dim,) float32 of length 1."""
    row = np.random.default_rng(zlib.crc32(text.encode())).standard_normal(dim)
    return (row / np.linalg.norm(row)).astype(np.float32)


def spec_of(server, **keys) -> ModelSpec:
    """The server's model, or that of the server at an address, as models.toml would have it."""
    remote = RemoteSpec(
        getattr(server, "url", server), "test-model", **{"timeout_seconds": 60, **keys}
    )
    return ModelSpec(
        name="remote", backend="openai", sources=(), dim=DIM, max_tokens=128, pooling="none",
        normalize=True, license="", remote=remote,
    )  # fmt: skip


@dataclass
class Limits:
    """So much a minute, refilling bit by bit, or all at once at the end of each minute."""

    requests: int = 0
    tokens: int = 0
    minute: float = 60.0
    all_at_once: bool = False


@dataclass
class Request:
    at: float
    texts: list[str]
    headers: dict[str, str]
    body: dict[str, Any]
    status: int = 0
    tokens: int = 0
    connection: object = None


@dataclass
class _Meter:
    limit: float
    minute: float
    all_at_once: bool
    level: float = field(init=False)
    at: float = field(init=False)

    def __post_init__(self):
        self.level, self.at = self.limit, time.monotonic()

    def refill(self):
        now = time.monotonic()
        if not self.all_at_once:
            self.level = min(self.limit, self.level + self.limit / self.minute * (now - self.at))
            self.at = now
        elif now - self.at >= self.minute:
            self.level, self.at = self.limit, now

    def reset(self):
        if self.all_at_once:
            return max(0.0, self.minute - (time.monotonic() - self.at))
        return (self.limit - self.level) / (self.limit / self.minute)


class OpenAIServer:
    """Answers `POST /v1/embeddings`; `faults` are what happens to the next requests instead."""

    def __init__(
        self,
        *,
        delay: float = 0.0,
        limits: Limits | None = None,
        dim: int = DIM,
        model: str = "test-model",
        base64: bool = True,
    ) -> None:
        self.delay = delay
        self.dim = dim
        self.model = model
        self.answers_base64 = base64
        self.limits = limits
        self.faults: deque[str] = deque()
        self.fault_of: Callable[[int, list[str]], str | None] = lambda _number, _texts: None
        """Request number, texts → a fault, or None."""
        self.requests: list[Request] = []
        self.hold_until = 0
        """Requests that have to be here before the first is answered."""
        self.on_slow: Callable[[], None] = lambda: None
        """Called when an answer has begun that takes forever."""
        self._meters = None
        if limits:
            self._meters = {
                "requests": _Meter(limits.requests or 1e9, limits.minute, limits.all_at_once),
                "tokens": _Meter(limits.tokens or 1e9, limits.minute, limits.all_at_once),
            }
        self._cache: dict[str, str] = {}
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        self._ready.wait(10)
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def texts(self):
        """All texts that were answered."""
        return [text for r in self.requests if r.status == 200 for text in r.texts]

    def _run(self):
        asyncio.run(self._serve())

    async def _serve(self):
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in asyncio.all_tasks():
            if task is not asyncio.current_task():
                task.cancel()

    async def _connection(self, reader, writer):
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _one(self, reader, writer):
        first = await reader.readexactly(1)
        if first == b"\x16":  # a TLS handshake
            return False
        head = (first + await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head[1:] if line)
        }
        raw = await reader.readexactly(int(headers.get("content-length", 0)))
        body = json.loads(raw)
        texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
        peer = writer.get_extra_info("peername")
        request = Request(time.monotonic(), texts, headers, body, connection=peer)
        request.tokens = sum(len(text) // 4 + 1 for text in texts)
        self.requests.append(request)
        fault = self.faults.popleft() if self.faults else None
        fault = fault or self.fault_of(len(self.requests), texts)
        extra = self._meter(request)
        if extra is None:
            fault, extra = "429", self._headers()
        if self.delay:
            await asyncio.sleep(self.delay)
        while len(self.requests) < self.hold_until:
            await asyncio.sleep(0.001)
        if fault:
            return await FAULTS[fault](self, request, writer)
        await self.answer(writer, request, self.good(request), headers=extra)
        return True

    def _meter(self, request):
        """Headers, or None when the limit is reached."""
        if not self._meters:
            return {}
        for meter in self._meters.values():
            meter.refill()
        wanted = {"requests": 1, "tokens": request.tokens}
        if any(self._meters[name].level < amount for name, amount in wanted.items()):
            return None
        for name, amount in wanted.items():
            self._meters[name].level -= amount
        return self._headers()

    def _headers(self):
        if not self._meters:
            return {}
        found = {}
        for name, meter in self._meters.items():
            found[f"x-ratelimit-limit-{name}"] = str(int(meter.limit * 60 / meter.minute))
            found[f"x-ratelimit-remaining-{name}"] = str(max(0, int(meter.level)))
            found[f"x-ratelimit-reset-{name}"] = f"{meter.reset():.3f}s"
        return found

    def good(self, request):
        rows = [self.row(text, request) for text in request.texts]
        data = [{"object": "embedding", "index": i, "embedding": e} for i, e in enumerate(rows)]
        usage = {"prompt_tokens": request.tokens, "total_tokens": request.tokens}
        return {"object": "list", "model": self.model, "data": data, "usage": usage}

    def row(self, text, request):
        plain = not self.answers_base64 or request.body.get("encoding_format") != "base64"
        dim = request.body.get("dimensions", self.dim)
        if plain:
            return vector(text, dim).tolist()
        key = f"{dim} {text}"
        if key not in self._cache:
            self._cache[key] = base64.b64encode(vector(text, dim).astype("<f4").tobytes()).decode()
        return self._cache[key]

    async def answer(self, writer, request, body, *, status=200, headers=None, kind="json"):
        request.status = status
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = {
            "content-type": f"application/{kind}",
            "content-length": str(len(data)),
            **(headers or {}),
        }
        head = f"HTTP/1.1 {status} X\r\n" + "".join(f"{k}: {v}\r\n" for k, v in lines.items())
        writer.write(head.encode() + b"\r\n" + data)
        await writer.drain()
        return True


def _status(status, body=None, **headers):
    async def fault(server, request, writer):
        said = body or {"error": {"message": f"status {status}", "type": "x", "code": None}}
        extra = {name.replace("_", "-"): value() for name, value in headers.items()}
        return await server.answer(writer, request, said, status=status, headers=extra)

    return fault


def _changed(change):
    """An answer that would be right but for one thing."""

    async def fault(server, request, writer):
        body = server.good(request)
        for item in body["data"]:
            if isinstance(item["embedding"], str):
                item["embedding"] = vector(request.texts[item["index"]], server.dim).tolist()
        change(body)
        await server.answer(writer, request, body)
        request.status = -1
        return True

    return fault


def _raw(data, kind="json"):
    async def fault(server, request, writer):
        await server.answer(writer, request, data, kind=kind)
        request.status = -1
        return True

    return fault


async def _stall(server, request, writer):
    server.on_slow()
    await asyncio.sleep(3600)


async def _drip(server, request, writer):
    data = json.dumps(server.good(request)).encode()
    writer.write(f"HTTP/1.1 200 X\r\ncontent-length: {len(data)}\r\n\r\n".encode())
    for place, byte in enumerate(data):
        writer.write(bytes([byte]))
        await writer.drain()
        if place == 5:
            server.on_slow()
        await asyncio.sleep(0.05)
    return False


async def _reset(server, request, writer):
    writer.transport.abort()
    return False


async def _cut(server, request, writer):
    data = json.dumps(server.good(request)).encode()
    writer.write(f"HTTP/1.1 200 X\r\ncontent-length: {len(data)}\r\n\r\n".encode())
    writer.write(data[: len(data) // 2])
    await writer.drain()
    writer.transport.abort()
    return False


async def _truncated(server, request, writer):
    data = json.dumps(server.good(request)).encode()
    await server.answer(writer, request, data[: len(data) // 2])
    request.status = -1
    return True


async def _huge(server, request, writer):
    writer.write(b"HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n")
    block = b"[" * (1 << 16)
    for _ in range(4000):
        writer.write(b"%x\r\n%s\r\n" % (len(block), block))
        await writer.drain()
    return False


def _each(change):
    def over(body):
        for item in body["data"]:
            change(item)

    return _changed(over)


def _first(value):
    def change(body):
        body["data"][0]["embedding"] = value(body["data"][0]["embedding"])

    return _changed(change)


def _reorder(body):
    body["data"].reverse()


def _double(body):
    body["data"][-1]["index"] = 0


def _fewer(body):
    body["data"].pop()


def _more(body):
    body["data"].append({**body["data"][-1], "index": len(body["data"])})


def _other_model(body):
    body["model"] = "another-model"


_QUOTA = {"error": {"message": "no quota", "type": "x", "code": "insufficient_quota"}}

FAULTS = {
    "429": _status(429),
    "429 seconds": _status(429, retry_after=lambda: "1"),
    "429 date": _status(429, retry_after=lambda: formatdate(time.time() + 2, usegmt=True)),
    "429 ms": _status(429, retry_after_ms=lambda: "300"),
    "429 huge": _status(429, retry_after=lambda: "86400"),
    "429 quota": _status(429, _QUOTA),
    "408": _status(408),
    "409": _status(409),
    "500": _status(500),
    "502": _status(502, b"<html>Bad gateway</html>"),
    "503": _status(503),
    "400": _status(400),
    "401": _status(401),
    "403": _status(403),
    "404": _status(404),
    "413": _status(413),
    "302": _status(302, location=lambda: "http://elsewhere.invalid/"),
    "encoding": _status(400, {"error": {"message": "encoding_format is not supported"}}),
    "stall": _stall,
    "drip": _drip,
    "reset": _reset,
    "cut": _cut,
    "html": _raw(b"<html>Welcome to the proxy</html>", "html"),
    "error in 200": _raw(b'{"error": {"message": "overloaded"}}'),
    "empty": _raw(b""),
    "no object": _raw(b"[]"),
    "truncated": _truncated,
    "huge": _huge,
    "fewer": _changed(_fewer),
    "more": _changed(_more),
    "reordered": _changed(_reorder),
    "duplicate": _changed(_double),
    "no index": _each(lambda item: item.pop("index")),
    "ragged": _first(lambda row: row[:-1]),
    "nan": _first(lambda row: [float("nan"), *row[1:]]),
    "inf": _first(lambda row: [1e999, *row[1:]]),
    "null": _first(lambda _row: None),
    "zero": _first(lambda row: [0.0] * len(row)),
    "words": _first(lambda row: ["a"] * len(row)),
    "quoted": _first(lambda row: [str(number) for number in row]),
    "one quoted": _first(lambda row: [*row[:-1], str(row[-1])]),
    "booleans": _first(lambda row: [True] * len(row)),
    "one null": _first(lambda row: [*row[:-1], None]),
    "nested": _first(lambda row: [[number] for number in row]),
    "wrapped": _first(lambda row: [row]),
    "base64 cut": _first(lambda row: base64.b64encode(np.float32(row).tobytes()[:-1]).decode()),
    "base64 nan": _first(
        lambda row: base64.b64encode((np.float32(row) * np.nan).tobytes()).decode()
    ),
    "base64 words": _first(lambda row: "0.1, 0.2"),
    "other model": _changed(_other_model),
    "other dim": _each(lambda item: item.update(embedding=item["embedding"][:-2])),
}
