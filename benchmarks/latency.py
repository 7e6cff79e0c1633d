"""How long `localembed query` takes as a whole process, cold and with its resident.

    python -m benchmarks.latency --out benchmarks/results/latency.json

An index of generated text is built with a static model of as many numbers as the packaged model's
and random weights, and then handed to the packaged model: what is found means nothing, how long it
takes is what it would take. Two rulers are measured in turn with the queries, so that ratios can be
compared between machines: `python -c "import click"` for a warm query, and
`python -c "import sentence_transformers"` for a cold one. Peers (`make bench-peers`) are given the
same texts and vectors, and asked in turn with the cold queries. Reads /proc, so it runs on Linux.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.generated import PROJECT, write_corpus
from benchmarks.machine import publish
from benchmarks.peers.ask import PEERS
from benchmarks.whole_run import make_static_model
from localembed import models
from localembed.store.head import publish_head, read_head
from localembed.store.lance.connection import connect
from localembed.store.layout import Layout

_CHUNKS_PER_FILE = 37
_WARM, _COLD = 60, 6
_MODEL = "all-MiniLM-L6-v2"


def main() -> None:
    """Build the index, measure, and publish."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, default=100_000)
    parser.add_argument("--peers", type=Path, default=PROJECT / ".venv-peers" / "bin" / "python")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="le-") as name:
        folder = Path(name)
        env = _environment(folder)
        chunks = _build(folder, env, arguments.chunks)
        peers = _fill_peers(arguments.peers, folder) if arguments.peers.exists() else {}
        measured = _measure(folder, env, peers)
        result = {"chunks": chunks, "numbers_of_a_vector": _dim(), **measured}
    publish(result, arguments.out)


def _environment(folder: Path) -> dict[str, str]:
    folders = {f"XDG_{kind}_HOME": str(folder / kind) for kind in ("CONFIG", "CACHE", "DATA")}
    (folder / "run").mkdir(mode=0o700)
    return {
        **os.environ, **folders, "PYTHONPATH": str(PROJECT), "CI": "",
        "LOCALEMBED_WORKSPACE": str(folder / "workspace"), "XDG_RUNTIME_DIR": str(folder / "run"),
    }  # fmt: skip


def _dim() -> int:
    return models.find_spec(_MODEL).dim


def _build(folder: Path, env: dict[str, str], chunks: int) -> int:
    """Index generated text, and say that the packaged model did; return the number of chunks."""
    make_static_model(folder / "CONFIG", dim=_dim())
    docs = folder / "docs"
    docs.mkdir()
    write_corpus(docs, chunks // _CHUNKS_PER_FILE, seed=1)
    _run("index", str(docs), "-q", "--model", "static", env=env)
    # The light engine is trusted once the whole model was compared with it: index a word with it.
    one = {**env, "LOCALEMBED_WORKSPACE": str(folder / "one")}
    (folder / "one.txt").write_text("a word")
    _run("index", str(folder / "one.txt"), "-q", env=one)
    layout = Layout(folder / "workspace")
    head = read_head(layout)
    name, entry = head.table() or ("", None)
    if entry is None:
        raise SystemExit("nothing was indexed")
    claimed = replace(entry, model=_MODEL, space_id=models.open_model(_MODEL).space_id)
    publish_head(layout, head.with_table(name, claimed, default=True))
    return entry.chunks


def _fill_peers(python: Path, folder: Path) -> dict[str, list[str]]:
    """Give each peer the texts and vectors of the index; return how to ask it."""
    layout = Layout(folder / "workspace")
    name = read_head(layout).default
    rows = connect(layout.vectors).open_table(name).search().select(["text", "vector"]).to_arrow()
    texts = rows["text"].to_pylist()
    vectors = rows["vector"].combine_chunks().flatten().to_numpy().reshape(len(texts), -1)
    np.save(folder / "vectors.npy", vectors.astype(np.float32))
    lines = (json.dumps({"text": text}) for text in texts)
    (folder / "texts.jsonl").write_text("\n".join(lines), encoding="utf-8")
    asking = {}
    for peer in PEERS:
        order = folder / f"{peer}.json"
        (folder / peer).mkdir()
        given = {"scratch": folder / peer, "texts": folder / "texts.jsonl"}
        given |= {"vectors": folder / "vectors.npy", "model": models.open_model(_MODEL).folder}
        order.write_text(json.dumps({key: str(value) for key, value in given.items()}))
        command = [str(python), "-m", "benchmarks.peers.ask", peer]
        subprocess.run([*command, "fill", str(order)], check=True, cwd=PROJECT)
        asking[peer] = [*command, "query", str(order)]
    return asking


def _measure(
    folder: Path, env: dict[str, str], asking: Mapping[str, Sequence[str]]
) -> dict[str, object]:
    clicks, warm, cold, imports = [], [], [], []
    peers: dict[str, list[float]] = {peer: [] for peer in asking}
    for number in range(_COLD):
        cold.append(_query(f"cold question {number}", "--no-resident", env=env))
        imports.append(_python("import sentence_transformers", env=env))
        for peer, command in asking.items():
            peers[peer].append(_seconds([*command, f"cold question {number}"], env))
    _query("the first one starts it", env=env)
    pid = _resident(folder)
    for number in range(_WARM):
        warm.append(_query(f"rotating word {number}", env=env))
        clicks.append(_python("import click", env=env))
    memory = _megabytes(pid)
    _run("serve", "--stop", env=env)
    return {
        "warm": _summary(warm),
        "import_click": _summary(clicks),
        "cold": _summary(cold),
        "import_sentence_transformers": _summary(imports),
        "warm_p50_over_click": round(float(np.median(warm) / np.median(clicks)), 2),
        "warm_p95_over_click": round(float(np.percentile(warm, 95) / np.median(clicks)), 2),
        "cold_over_import": round(float(np.median(cold) / np.median(imports)), 3),
        "resident_mb": memory,
        "peers": {peer: _summary(times) for peer, times in peers.items()},
        "peers_over_warm": {
            peer: round(float(np.median(times) / np.median(warm)), 1)
            for peer, times in peers.items()
        },
    }


def _query(text: str, *more: str, env: dict[str, str]) -> float:
    """Return the seconds of a whole process, as the installed command starts."""
    program = Path(sys.executable).with_name("localembed")
    return _seconds([str(program), "query", text, *more], env)


def _python(code: str, env: dict[str, str]) -> float:
    return _seconds([sys.executable, "-c", code], env)


def _seconds(command: Sequence[str], env: dict[str, str]) -> float:
    begin = time.perf_counter()
    subprocess.run(command, env=env, check=True, capture_output=True)
    return time.perf_counter() - begin


def _run(*arguments: str, env: dict[str, str]) -> None:
    subprocess.run([sys.executable, "-m", "localembed", *arguments], env=env, check=True)


def _resident(folder: Path) -> int:
    """Wait until the resident listens, and return its process id."""
    deadline = time.monotonic() + 120
    while not any((folder / "run" / "localembed").glob("*.sock")):
        if time.monotonic() > deadline:
            message = "no process answers queries"
            raise SystemExit(message)
        time.sleep(0.1)
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        words = entry.read_bytes().split(b"\0")
        if b"serve" in words and os.fsencode(folder / "workspace") in words:
            return int(entry.parent.name)
    message = "the process that answers queries is gone"
    raise SystemExit(message)


def _megabytes(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1000 for line in lines if line.startswith("VmRSS"))


def _summary(seconds: Sequence[float]) -> dict[str, float]:
    p50, p95 = np.percentile(seconds, (50, 95)) * 1000
    return {"p50_ms": round(float(p50), 1), "p95_ms": round(float(p95), 1), "runs": len(seconds)}


if __name__ == "__main__":
    main()
