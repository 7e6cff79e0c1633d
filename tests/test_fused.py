"""The fused pass gives the vectors of `encode` in any batch; other models are left to torch."""

from __future__ import annotations

import json
import queue
import threading
from concurrent.futures import Future
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from localembed import models
from localembed.embedding import EngineOptions, load_embedder, load_tokenizer
from localembed.embedding.engines import fused
from localembed.embedding.engines.batching import ATTENTION_WIDTH
from localembed.embedding.engines.bert import read_bert
from localembed.embedding.engines.fused import FusedEngine, streams
from localembed.embedding.model_shape import read_shape
from localembed.errors import UsageError
from tests.conftest import PROJECT
from tests.families import FAMILIES, TEXTS, build, cosine
from tests.local_models import load_local

if TYPE_CHECKING:
    from localembed.types.arrays import VectorMatrix

pytestmark = pytest.mark.skipif(
    not fused.is_available(), reason="this torch has no oneDNN, or this is no x86"
)
KNOWN = {family.name: family for family in FAMILIES if family.name in ("bert", "xlm-roberta")}
OPTIONS = EngineOptions(device="cpu", precision="fp32", engine="fused", threads=2)


@pytest.fixture(scope="module", params=sorted(KNOWN))
def model(request, tmp_path_factory):
    """Return a family with a folder of its tiny model."""
    folder = tmp_path_factory.mktemp(request.param)
    build(KNOWN[request.param], folder)
    return KNOWN[request.param], folder


@pytest.fixture
def located(minilm):
    return models.open_model("all-MiniLM-L6-v2")


def engine(folder, precision="fp32", **changes) -> FusedEngine:
    bert = replace(read_bert(folder, read_shape(folder)), **changes)
    return FusedEngine(bert, precision, normalize=True, threads=2)


def random_items(lengths, vocabulary=90):
    rng = np.random.default_rng(3)
    return [rng.integers(5, vocabulary, length).astype(np.int32) for length in lengths]


def reorders_bf16() -> bool:
    import torch

    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def whole_model(folder, items, pooling="mean"):
    """Return the vectors of the modules of transformers, one text at a time."""
    import torch
    from transformers import AutoModel

    inner = AutoModel.from_pretrained(folder, local_files_only=True).eval()
    with torch.inference_mode():
        states = [
            inner(input_ids=torch.from_numpy(item.astype(np.int64))[None]).last_hidden_state[0]
            for item in items
        ]
    rows = [state[0] if pooling == "cls" else state.mean(dim=0) for state in states]
    return torch.stack(rows).numpy()


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_it_gives_the_vectors_of_the_models_own_modules(model, pooling):
    """Lengths on both sides of rounding up, and as long as the model allows."""
    family, folder = model
    longest = family.spec().max_tokens
    items = random_items((longest, longest - 1, 63, 40, 17, 16, 3, 1))
    fused = engine(folder, pooling=pooling)
    ours = fused.collect([fused.submit(items[:3]), fused.submit(items[3:])])
    assert cosine(ours, whole_model(folder, items, pooling)).min() >= 0.999999
    assert np.linalg.norm(ours, axis=1) == pytest.approx(1, abs=1e-6)


def test_it_gives_the_vectors_of_encode(model):
    from sentence_transformers import SentenceTransformer

    family, folder = model
    texts = [text.strip() for text in TEXTS]
    ids = [tokens.ids for tokens in load_tokenizer(family.spec(), folder)(texts)]
    ours = load_local(family.spec(), folder, OPTIONS)
    theirs = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    assert ours.use.engine == "fused"
    reference = theirs.encode(texts, normalize_embeddings=True)
    assert cosine(ours.embed_ids(ids), reference).min() >= 0.99999


@pytest.mark.parametrize(
    ("precision", "between", "to_fp32"), [("fp32", 0.999999, 0.999999), ("bf16", 0.9999, 0.9998)]
)
def test_a_batch_does_not_change_a_vector(located, precision, between, to_fp32):
    """In bf16 only where torch reorders bf16 weights, for which AVX2 alone is not enough."""
    if precision == "bf16" and not reorders_bf16():
        pytest.skip("torch does not reorder bf16 weights on this CPU")
    words = load_tokenizer(located.spec, located.folder)([(PROJECT / "README.md").read_text()])
    begins = np.cumsum([0, 200, 130, 128, 64, 20])
    items = [
        np.concatenate(([101], words[0].ids[begin : begin + length], [102]))
        for begin, length in zip(begins, (198, 128, 126, 62, 18, 6), strict=True)
    ]
    fused = engine(located.folder, precision)
    together = fused.collect([fused.submit(items)])
    alone = fused.collect([fused.submit([item]) for item in items])
    exact = engine(located.folder)
    assert together.dtype == np.float32
    assert cosine(together, alone).min() >= between
    assert cosine(together, exact.collect([exact.submit(items)])).min() >= to_fp32


def test_every_thread_has_a_batch_and_no_more_than_one_waits(model, monkeypatch):
    _, folder = model
    fused = engine(folder)
    gate, names, waiting = threading.Event(), set(), threading.Semaphore(0)
    really, room = fused._pooled, fused._room
    feeding: queue.Queue[str] = queue.Queue()
    handles: list[Future[VectorMatrix]] = []

    def slow(items):
        names.add(threading.current_thread().name)
        waiting.release()
        assert gate.wait(60)
        return really(items)

    def acquire():
        if not room.acquire(blocking=False):
            feeding.put("waits for room")
            room.acquire()

    def feed():
        for _ in range(6):
            handles.append(fused.submit(random_items((5,))))
        feeding.put("all begun")

    monkeypatch.setattr(fused, "_pooled", slow)
    monkeypatch.setattr(fused, "_room", SimpleNamespace(acquire=acquire, release=room.release))
    feeder = threading.Thread(target=feed)
    feeder.start()
    for _ in range(2):
        assert waiting.acquire(timeout=60)
    assert feeding.get(timeout=60) == "waits for room"
    assert len(handles) == streams(2) + 1
    gate.set()
    feeder.join(60)
    assert len(fused.collect(handles)) == 6
    assert len(names) == streams(2)


def test_a_batch_that_does_not_fit_is_halved_and_one_text_fails_alone(model, monkeypatch):
    _, folder = model
    fused = engine(folder)
    really, sizes = fused._pooled, []

    def crowded(items):
        sizes.append(len(items))
        if sum(map(len, items)) > 30:
            message = "DefaultCPUAllocator: can't allocate memory"
            raise RuntimeError(message)
        return really(items)

    monkeypatch.setattr(fused, "_pooled", crowded)
    items = random_items((31, 20, 9, 8))
    vectors = fused.collect([fused.submit(items)])
    assert np.isnan(vectors[0]).all()
    assert np.isfinite(vectors[1:]).all()
    assert sizes == [4, 2, 1, 1, 2]


def test_an_error_of_another_kind_is_raised(model, monkeypatch):
    _, folder = model
    fused = engine(folder)
    monkeypatch.setattr(fused, "_pooled", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        fused.collect([fused.submit(random_items((5,)))])


@pytest.mark.parametrize("change", [{"hidden_act": "relu"}, {"position_embedding_type": "x"}])
def test_another_architecture_is_left_to_its_own_modules(model, tmp_path, change):
    family, folder = model
    for path in folder.rglob("*"):
        if path.is_file():
            target = tmp_path / path.relative_to(folder)
            target.parent.mkdir(exist_ok=True, parents=True)
            target.write_bytes(path.read_bytes())
    config = json.loads((folder / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(UsageError, match="does not support model"):
        load_embedder(family.spec(), tmp_path, OPTIONS)
    if "hidden_act" in change:
        auto = load_embedder(family.spec(), tmp_path, replace(OPTIONS, engine="auto"))
        assert auto.use.engine == "torch"


def test_without_the_fused_operations_the_model_is_left_to_its_own_modules(model, monkeypatch):
    family, folder = model
    monkeypatch.setattr(fused, "is_available", lambda: False)
    auto = load_embedder(family.spec(), folder, replace(OPTIONS, engine="auto"))
    assert auto.use.engine == "torch"


def test_padding_is_rounded_up_where_attention_is_wide(located):
    embedder = load_local(located.spec, located.folder, OPTIONS)
    for length in (126, 198, 254):
        embedder.embed_ids(random_items((length,), vocabulary=30_000))
    assert embedder.use.tokens == 128 + 200 + 256
    assert embedder.use.padded_tokens == 128 + 208 + 256
    assert 208 % ATTENTION_WIDTH == 0
    embedder.embed_ids(random_items((7,), vocabulary=30_000))
    assert embedder.use.padded_tokens == 128 + 208 + 256 + 9
