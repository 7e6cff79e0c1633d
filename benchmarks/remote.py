"""A server's model: how much of the server is used, and what faults and a long queue cost.

    python -m benchmarks.remote --out benchmarks/results/remote.json
    python -m benchmarks.remote --queue 1600 --out benchmarks/results/remote-queue.json

The server is a process of its own on this machine that answers after 100 ms, so that what is
measured is the asking. Four figures: chunks a second against one request at a time; the share of a
limit of tokens a minute that is used, and how often it was passed, after the first minute; what 5%
of errors cost; and the peak memory of `localembed index` over many chunks, or with --queue over a
million.
"""

from __future__ import annotations

import argparse
import base64
import json
import subprocess
import sys
import tempfile
import time
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.generated import FILE_BYTES, environment, peak_megabytes, write_corpus
from benchmarks.machine import publish
from localembed.embedding import load_embedder
from localembed.embedding.options import EngineOptions
from localembed.types.models import ModelInput, ModelSpec, RemoteSpec
from tests.openai_server import Limits, OpenAIServer, vector
from tests.registry import write_registry

_DIM = 384
_DELAY = 0.1
_BATCH = 64
_TOKENS_PER_MINUTE = 600_000


_ROWS = [
    base64.b64encode(vector(str(n), _DIM).astype("<f4").tobytes()).decode() for n in range(4096)
]


class _FastServer(OpenAIServer):
    """One of 4,096 vectors for a text: making them must not be what is measured."""

    def row(self, text: str, _request: object) -> str:
        return _ROWS[zlib.crc32(text.encode()) % len(_ROWS)]


def serve(arguments: argparse.Namespace) -> None:
    """Answer until stdin is closed, then print what was asked for."""
    limits = Limits(tokens=arguments.limit) if arguments.limit else None
    with _FastServer(delay=arguments.delay, dim=_DIM, limits=limits) as server:
        kinds = ("500", "reset")
        rng = np.random.default_rng(5)
        bad = [kinds[n % 2] if rng.random() < arguments.faults else None for n in range(100_000)]
        server.fault_of = lambda number, _: bad[number]
        print(server.url, flush=True)
        begin = time.monotonic()
        sys.stdin.read()
        seen = [(r.at - begin, r.status, r.tokens) for r in server.requests]
        print(json.dumps(seen), flush=True)


class Server:
    """The server as a process of its own."""

    def __init__(self, *, delay: float = _DELAY, limit: int = 0, faults: float = 0.0) -> None:
        options = ("--delay", str(delay), "--limit", str(limit), "--faults", str(faults))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.remote", "--serve", *options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.url = self._process.stdout.readline().strip() if self._process.stdout else ""

    def end(self) -> list[tuple[float, int, int]]:
        """Stop it, and return when each request came, how it ended, and its tokens."""
        out, _ = self._process.communicate()
        return [tuple(entry) for entry in json.loads(out)]


def spec(url: str, max_concurrency: int | None = None) -> ModelSpec:
    """Return the server's model, with the usual limit of requests in flight unless one is given."""
    remote = RemoteSpec(url, "test-model", max_inputs=_BATCH)
    if max_concurrency is not None:
        remote = replace(remote, max_concurrency=max_concurrency)
    return ModelSpec(
        name="server", backend="openai", sources=(), dim=_DIM, max_tokens=512, pooling="none",
        normalize=True, license="", remote=remote,
    )  # fmt: skip


def inputs(count: int, words: int = 40) -> list[ModelInput]:
    """Return different texts of about as many tokens as words."""
    ids = np.zeros(words, np.int32)
    text = "word " * (words - 4)
    return [ModelInput(f"text {n} {text}", ids, n.to_bytes(16, "big")) for n in range(count)]


def rate(count: int, *, faults: float = 0.0, max_concurrency: int | None = None) -> float:
    """Return the chunks that come back in a second."""
    server = Server(faults=faults)
    embedder = load_embedder(spec(server.url, max_concurrency), Path(), EngineOptions())
    items = inputs(count)
    begin = time.perf_counter()
    made = embedder.embed_documents(items)
    seconds = time.perf_counter() - begin
    server.end()
    if made.failures:
        raise SystemExit(f"{len(made.failures)} texts failed")
    return count / seconds


def limited(minutes: float) -> dict[str, object]:
    """Return how much of a limit is used after the first minute, and how often it was passed."""
    server = Server(limit=_TOKENS_PER_MINUTE)
    embedder = load_embedder(spec(server.url), Path(), EngineOptions())
    tokens_of_one = len(inputs(1)[0].text) // 4 + 1
    items = inputs(int(_TOKENS_PER_MINUTE * (minutes + 1) / tokens_of_one))
    embedder.embed_documents(items)
    seen = server.end()
    first = seen[0][0] + 60
    last = first + 60 * (minutes - 1)
    used = sum(tokens for at, status, tokens in seen if status == 200 and first <= at < last)
    return {
        "tokens_per_minute": _TOKENS_PER_MINUTE,
        "minutes_after_the_first": minutes - 1,
        "share_used": round(used / (_TOKENS_PER_MINUTE * (minutes - 1)), 4),
        "refusals_after_the_first_minute": sum(
            1 for at, status, _ in seen if status == 429 and at >= first
        ),
        "refusals_in_all": sum(1 for _, status, _ in seen if status == 429),
    }


def queued(megabytes: int) -> dict[str, object]:
    """Return the peak memory of indexing a corpus through the server."""
    server = Server()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        docs = folder / "docs"
        docs.mkdir()
        write_corpus(docs, megabytes * 1_000_000 // FILE_BYTES, seed=3)
        variables = environment(folder)
        write_registry(Path(variables["XDG_CONFIG_HOME"]), [spec(server.url)])
        child = subprocess.Popen(
            [sys.executable, "-m", "localembed", "index", str(docs), "--model", "server", "--json"],
            env=variables,
            stdout=subprocess.PIPE,
        )
        peak = peak_megabytes(child)
        output = child.stdout.read() if child.stdout else b""
        if child.wait() != 0:
            raise SystemExit(f"indexing failed with {child.returncode}")
    report = json.loads(output)
    server.end()
    return {
        "chunks": report["chunks"]["total"],
        "seconds": report["seconds"],
        "chunks_per_second": round(report["chunks"]["total"] / report["seconds"], 1),
        "peak_rss_mb": round(peak, 1),
    }


def main() -> None:
    """Measure and publish."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", action="store_true")
    parser.add_argument("--delay", type=float, default=_DELAY)
    parser.add_argument("--limit", type=int, default=0)
    parser.add_argument("--faults", type=float, default=0.0)
    parser.add_argument("--chunks", type=int, default=102_400)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--queue", type=int, metavar="MEGABYTES", help="Measure only this.")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments)
        return
    if arguments.queue:
        publish({"queued": queued(arguments.queue)}, arguments.out)
        return
    # In turn, so that what else the machine does meets all three.
    single, many, faulty = [], [], []
    for _ in range(3):
        single.append(rate(1280, max_concurrency=1))
        many.append(rate(arguments.chunks))
        faulty.append(rate(arguments.chunks, faults=0.05))
    one, all_, bad = (sorted(found)[1] for found in (single, many, faulty))
    result = {
        "delay_seconds": _DELAY,
        "texts_per_request": _BATCH,
        "one_at_a_time_chunks_per_second": round(one, 1),
        "chunks_per_second": round(all_, 1),
        "ratio": round(all_ / one, 2),
        "with_5_percent_errors_chunks_per_second": round(bad, 1),
        "lost_to_errors": round(1 - bad / all_, 4),
        "limit": limited(arguments.minutes),
        "queued": queued(arguments.megabytes),
    }
    publish(result, arguments.out)


if __name__ == "__main__":
    main()
