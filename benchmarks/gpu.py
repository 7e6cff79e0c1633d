"""The engine alone on a GPU: padded against packed batches, and how near that is to the hardware.

    python -m benchmarks.gpu --device cuda --tflops 790 --out benchmarks/results/gpu-h200.json

The model has the shape of all-MiniLM-L6-v2 (6 layers of 384, 12 heads) and random weights, which
is all that speed needs; so it runs where no model, lancedb or duckdb is installed. Ids are made up,
126 tokens and 2 special ones a text. Vectors of packed bf16 are compared with padded fp32.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import asdict
from pathlib import Path

import numpy as np

from benchmarks.machine import publish
from localembed.bench.measure import knee, largest_batch, measure
from localembed.bench.sample import Sample
from localembed.embedding import EngineOptions, device_name, load_embedder, read_shape
from localembed.embedding.engines.packed import PackedEngine
from localembed.embedding.engines.torch import TorchEngine
from localembed.embedding.local_embedder import LocalEmbedder
from localembed.types.models import ModelInput, ModelSpec

_WORDS = 30_000
_SPEC = ModelSpec(
    "MiniLM shape, random weights", "sentence-transformers", (), dim=384, max_tokens=256,
    pooling="mean", normalize=True, license="none",
)  # fmt: skip


def make_model(folder: Path) -> None:
    """Write a model folder with the published configuration and random weights."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, BertTokenizerFast

    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{n}" for n in range(_WORDS))]
    vocabulary = {name: number for number, name in enumerate(names)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=len(names), hidden_size=384, num_hidden_layers=6, num_attention_heads=12,
        intermediate_size=1536, max_position_embeddings=512,
    )  # fmt: skip
    inner = folder / "transformer"
    BertModel(config, add_pooling_layer=False).save_pretrained(inner)
    BertTokenizerFast(tokenizer_object=tokenizer).save_pretrained(inner)
    modules = [Transformer(str(inner)), Pooling(384, "mean"), Normalize()]
    SentenceTransformer(modules=modules, device="cpu").save(str(folder), create_model_card=False)


def texts(count: int, shortest: int, longest: int) -> Sample:
    """Return made-up ids of texts."""
    rng = np.random.default_rng(2)
    lengths = rng.integers(shortest, longest + 1, count)
    ids = tuple(rng.integers(5, _WORDS, length).astype(np.int32) for length in lengths)
    return Sample(f"{shortest}-{longest} made-up tokens", ids)


def _options(device: str, precision: str) -> EngineOptions:
    """Return the options for torch, which no faster engine replaces on a CPU."""
    return EngineOptions(device=device, precision=precision, engine="torch")


def parity(folder: Path, device: str, precision: str) -> dict[str, float] | None:
    """Compare packed vectors with padded fp32 ones; None where nothing is packed."""
    sample = texts(512, 5, 250)
    packed = load_embedder(_SPEC, folder, _options(device, precision))
    plain = load_embedder(_SPEC, folder, _options("cpu", "fp32"))
    if not isinstance(packed, LocalEmbedder) or not isinstance(packed.engine, PackedEngine):
        return None
    inputs = [ModelInput("", ids) for ids in sample.ids]
    ours, theirs = (e.embed_documents(inputs).vectors for e in (packed, plain))
    cosines = (ours * theirs).sum(axis=1)
    return {"worst": float(cosines.min()), "mean": float(cosines.mean())}


def main() -> None:
    """Measure both kinds of batches at several budgets and publish them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--budgets", default="16384,32768,65536,131072,262144")
    parser.add_argument("--chunks", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--tflops", type=float, help="the hardware's dense rate in this precision")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    budgets = [int(word) for word in arguments.budgets.split(",")]
    options = _options(arguments.device, arguments.precision)
    with tempfile.TemporaryDirectory(prefix="localembed-gpu-") as name:
        folder = Path(name)
        make_model(folder)
        shape = read_shape(folder)
        loaded = load_embedder(_SPEC, folder, options)
        if not isinstance(loaded, LocalEmbedder) or not isinstance(loaded.engine, TorchEngine):
            raise SystemExit("this measures torch")
        points = [
            measure(loaded, sample, budget, seconds=arguments.seconds, threads=1, shape=shape)
            for sample in (texts(arguments.chunks, 126, 126), texts(arguments.chunks, 10, 250))
            for budget in budgets
        ]
        on_gpu = loaded.engine.device != "cpu"
        edge = largest_batch(loaded, texts(64, 126, 126), budgets[-1]) if on_gpu else None
        found = parity(folder, arguments.device, arguments.precision)
    best = knee(points[: len(budgets)])
    flops = best.tokens_per_second * shape.flops_per_token(best.mean_tokens)
    share = flops / (arguments.tflops * 1e12) if arguments.tflops else None
    result = {
        "device": device_name(loaded.engine.device),
        "weights": "random; speed does not depend on them",
        "points": [asdict(point) for point in points],
        "best_at_128_tokens": asdict(best),
        "tflops_reached": round(flops / 1e12, 2),
        "share_of_stated_tflops": share,
        "largest_batch": edge,
        "cosine_of_packed_to_fp32": found,
    }
    publish(result, arguments.out)


if __name__ == "__main__":
    main()
