"""A whole `localembed index` over real files, with the packaged model and with a static one.

    python -m benchmarks.whole_run --corpus FOLDER --name "linux-doc-6.1 6.1.176-1" \
        --suffix .rst.txt --files 4000 --out benchmarks/results/whole-run.json

The static model (sentence-transformers' StaticEmbedding) has the packaged model's tokenizer and
random weights of 256 numbers a token: its answers mean nothing, its speed is that of any other.
It stresses everything around a model: reading, chunking, writing, indexing. A run with it takes
seconds and the other minutes: several run before and after it, and the middle one counts. Peaks are
those of the indexing process; building the full-text index is a process of its own. Runs on Linux.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.generated import peak_megabytes
from benchmarks.machine import publish
from localembed.types.models import ModelSpec
from tests.registry import write_registry

PROJECT = Path(__file__).parent.parent
_DIM = 256
_BEFORE, _AFTER = 3, 2
"""Runs with the static model."""


def make_static_model(config: Path, dim: int = _DIM) -> None:
    """Write a static model named static, and make it known."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer

    from localembed import models

    packaged = models.open_model("all-MiniLM-L6-v2")
    torch.manual_seed(1)
    tokenizer = Tokenizer.from_file(str(packaged.folder / "tokenizer.json"))
    folder = config / "static-model"
    module = StaticEmbedding(tokenizer, embedding_dim=dim)
    SentenceTransformer(modules=[module], device="cpu").save(str(folder), create_model_card=False)
    spec = ModelSpec(
        name="static", backend="sentence-transformers", sources=(f"path:{folder}",), dim=dim,
        max_tokens=256, pooling="none", normalize=True, license="none",
    )  # fmt: skip
    write_registry(config, [spec])


def copy_corpus(corpus: Path, suffix: str, files: int, docs: Path) -> int:
    """Copy files spread over a corpus; return their bytes."""
    found = sorted(path for path in corpus.rglob(f"*{suffix}") if path.is_file())
    chosen = found[:: max(1, len(found) // files)][:files]
    for number, path in enumerate(chosen):
        shutil.copyfile(path, docs / f"{number:05}-{path.name}")
    return sum(path.stat().st_size for path in docs.iterdir())


def index(model: str, docs: Path, folder: Path) -> dict[str, object]:
    """Index the files in a process of its own, in a new workspace."""
    workspace = folder / "workspace"
    shutil.rmtree(workspace, ignore_errors=True)
    env = {
        **os.environ,
        "PYTHONPATH": str(PROJECT),
        "LOCALEMBED_MODEL": model,
        "LOCALEMBED_WORKSPACE": str(workspace),
        **{f"XDG_{kind}_HOME": str(folder / kind) for kind in ("CONFIG", "CACHE", "DATA")},
    }
    begin = time.perf_counter()
    with tempfile.TemporaryFile() as output:
        child = subprocess.Popen(
            [sys.executable, "-m", "localembed", "index", str(docs), "--json"],
            env=env, stdout=output,
        )  # fmt: skip
        peak = peak_megabytes(child)
        seconds = time.perf_counter() - begin
        output.seek(0)
        if child.returncode:
            message = f"indexing with {model} failed with status {child.returncode}"
            raise SystemExit(message)
        report = json.loads(output.read())
    chunks = report["chunks"]["total"]
    return {
        "model": model,
        "chunks": chunks,
        "embedded": report["chunks"]["embedded"],
        "seconds": round(seconds, 2),
        "seconds_in_process": report["seconds"],
        "chunks_per_second": round(chunks / seconds, 1),
        "peak_rss_mb": round(peak, 1),
        **{key: report[key] for key in ("stages", "busy", "bottleneck", "engine")},
    }


def main() -> None:
    """Index with both models and publish the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--name", required=True, help="what the corpus is")
    parser.add_argument("--suffix", default="", help="only files that end so")
    parser.add_argument("--files", type=int, default=4000, help="that are taken at most")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="localembed-whole-") as name:
        folder = Path(name)
        docs = folder / "docs"
        docs.mkdir()
        size = copy_corpus(arguments.corpus, arguments.suffix, arguments.files, docs)
        files = len(list(docs.iterdir()))
        make_static_model(folder / "CONFIG")
        cheap = [index("static", docs, folder) for _ in range(_BEFORE)]
        transformer = index("all-MiniLM-L6-v2", docs, folder)
        cheap += [index("static", docs, folder) for _ in range(_AFTER)]
    static = sorted(cheap, key=_seconds)[len(cheap) // 2]
    static["seconds_of_each"] = [_seconds(row) for row in cheap]
    ratio = _seconds(transformer) / _seconds(static)
    corpus = {"name": arguments.name, "files": files, "bytes": size}
    rows = [static, transformer]
    publish({"corpus": corpus, "rows": rows, "ratio": round(ratio, 1)}, arguments.out)


def _seconds(row: dict[str, object]) -> float:
    return float(str(row["seconds"]))


if __name__ == "__main__":
    main()
