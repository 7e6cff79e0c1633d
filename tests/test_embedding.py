"""The real model: its vectors are those of sentence-transformers, however they are batched."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest

import localembed
from localembed import models
from localembed.chunking import clean
from localembed.chunking.chunker import Chunker
from localembed.chunking.rules import ChunkRules
from localembed.embedding import EngineOptions, LoadContext, load_tokenizer
from localembed.embedding.engines import fused, hardware, openvino
from localembed.embedding.profiles import ProfileStore
from localembed.errors import ModelChangedError, UsageError
from localembed.types.documents import Document
from tests import families
from tests.conftest import PROJECT
from tests.local_models import load_local


def cosine(a, b):
    return np.sum(a * b, axis=-1) / (np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1))


@pytest.fixture(scope="module")
def located(tmp_path_factory):
    return models.open_model("all-MiniLM-L6-v2")


@pytest.fixture(scope="module")
def embedder(located):
    return load_local(located.spec, located.folder, EngineOptions(precision="fp32", engine="torch"))


@pytest.fixture(scope="module")
def reference(located, embedder):
    """The plain library, as its users call it."""
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(located.folder), device="cpu", local_files_only=True)


@pytest.fixture(autouse=True)
def needs_the_packaged_model(minilm):
    pass


def real_chunks(located):
    text = (PROJECT / "localembed" / "workspace" / "workspace.py").read_text()
    tokenizer = load_tokenizer(located.spec, located.folder)
    document = Document(b"d" * 16, "r", b"a.py", text, b"", "code", 0)
    return Chunker(tokenizer, clean.clean, ChunkRules(254, 32))([document])[0].chunks


def test_chunks_get_the_vectors_of_their_texts(located, embedder, reference):
    chunks = real_chunks(located)
    assert len(chunks) > 10
    ours = embedder.embed_ids([chunk.token_ids for chunk in chunks])
    theirs = reference.encode([chunk.text for chunk in chunks])
    assert cosine(ours, theirs).min() >= 0.99999
    assert np.linalg.norm(ours, axis=1) == pytest.approx(1, abs=1e-5)


def test_a_vector_does_not_depend_on_its_batch(located, embedder):
    ids = [chunk.token_ids for chunk in real_chunks(located)]
    together = embedder.embed_ids(ids)
    alone = np.concatenate([embedder.embed_ids([item]) for item in ids])
    backwards = embedder.embed_ids(ids[::-1])[::-1]
    assert cosine(together, alone).min() >= 0.999999
    assert cosine(together, backwards).min() >= 0.999999


def test_a_query_gets_the_vector_of_the_library(embedder, reference):
    query = "how are keys rotated?"
    assert cosine(embedder.embed_query(query), reference.encode(query)) >= 0.99999
    long = "word " * 2000
    assert np.isfinite(embedder.embed_query(long)).all()


def test_meaning_is_found_without_a_common_word(tmp_path, located, monkeypatch):
    (tmp_path / "cat.txt").write_text("The kitten slept on the warm sofa all afternoon.")
    (tmp_path / "tax.txt").write_text("Income statements are due at the end of April.")
    workspace = localembed.open(tmp_path)
    workspace.index()
    hits = workspace.query("a feline taking a nap", mode="vector")
    assert hits[0].path.endswith("cat.txt")
    assert workspace.query("fiscal deadline")[0].path.endswith("tax.txt")


def test_bf16_is_refused_where_the_processor_lacks_it(monkeypatch, located):
    monkeypatch.setattr(hardware, "cpu_has_bf16", lambda: False)
    with pytest.raises(UsageError, match="AMX"):
        load_local(located.spec, located.folder, EngineOptions(precision="bf16"))


def test_a_spec_with_another_dim_is_refused(located):
    from dataclasses import replace

    with pytest.raises(ModelChangedError, match="has 384 dimensions"):
        load_local(
            replace(located.spec, dim=768),
            located.folder,
            EngineOptions(precision="fp32", engine="torch"),
        )


def short_ids(located):
    tokenizer = load_tokenizer(located.spec, located.folder)
    texts = ("Rotating keys is a habit.", "words", "The lamp burns through the night, they say.")
    return [tokens.ids for tokens in tokenizer(texts)]


def test_bf16_vectors_are_near_those_of_fp32_in_any_batch(located, embedder):
    """Emulated where the processor has no bf16: slow, and the same numbers."""
    from localembed.embedding.engines.batching import Padding
    from localembed.embedding.engines.torch import TorchEngine
    from localembed.embedding.engines.torch_model import load_model

    model = load_model(located.folder, "cpu", "bf16")
    engine = TorchEngine(model, "cpu", "bf16", padding=Padding(0), normalize=True)
    framed = [np.concatenate(([101], ids, [102])).astype(np.int32) for ids in short_ids(located)]

    together = engine.collect([engine.submit(framed)])
    alone = engine.collect([engine.submit([item]) for item in framed])

    assert together.dtype == np.float32
    assert np.linalg.norm(together, axis=1) == pytest.approx(1, abs=1e-6)
    assert cosine(together, alone).min() >= 0.9999
    assert cosine(together, embedder.embed_ids(short_ids(located))).min() >= 0.9998


def test_a_compiler_that_fails_leaves_the_model_as_it_is(located, monkeypatch):
    import torch

    def broken(_forward, **_options):
        def forward(*_inputs, **_features):
            raise RuntimeError("g++: command not found")

        return forward

    monkeypatch.setattr(torch, "compile", broken)
    monkeypatch.setattr(fused, "is_available", lambda: False)
    monkeypatch.setattr(hardware, "has_compiler", lambda: True)
    notices: list[str] = []
    options = EngineOptions(precision="fp32", engine="auto")
    context = LoadContext(job_tokens=10**12, on_notice=notices.append)
    auto = load_local(located.spec, located.folder, options, context=context)
    assert np.isfinite(auto.embed_ids(short_ids(located))).all()
    assert auto.use.engine == "torch"
    assert notices == ["Compiling the model; this takes about half a minute."]
    with pytest.raises(UsageError, match="could not compile"):
        load_local(located.spec, located.folder, EngineOptions(engine="compile"))


def test_a_compiled_model_gives_the_same_vectors(located, embedder, monkeypatch):
    """With the compiler's own eager backend: what is tested is how it is built in."""
    import torch

    shapes = []
    plain = torch.compile

    def counting(graph, inputs):
        shapes.append(len(inputs))
        return graph.forward

    def compile_quickly(forward, *, dynamic):
        return plain(forward, dynamic=dynamic, backend=counting)

    monkeypatch.setattr(torch, "compile", compile_quickly)
    monkeypatch.setattr(hardware, "has_compiler", lambda: True)
    compiled = load_local(
        located.spec, located.folder, EngineOptions(precision="fp32", engine="compile")
    )
    known = len(shapes)
    ids = short_ids(located)
    assert cosine(compiled.embed_ids(ids), embedder.embed_ids(ids)).min() >= 0.99999
    compiled.embed_ids(ids[:1])
    compiled.embed_query("a few words")
    assert compiled.use.engine == "torch compiled"
    assert len(shapes) == known, "another shape was compiled for"


def test_without_the_extra_for_openvino_torch_embeds(own_home, tmp_path, monkeypatch):
    """As on the machine of somebody who installed nothing but the packaged model."""
    folder = tmp_path / "bert"
    folder.mkdir()
    families.build(families.FAMILIES[0], folder)

    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(openvino, "is_installed", lambda: False)
    monkeypatch.setattr(openvino, "version", missing)
    options = EngineOptions(device="cpu", precision="fp32")
    context = LoadContext(model_id="x", profiles=ProfileStore())

    embedder = load_local(families.FAMILIES[0].spec(), folder, options, context=context)

    assert embedder.use.engine == "fused"


def test_dense_layers_behind_a_transformer_in_bf16_compute_in_fp32(tmp_path, monkeypatch):
    """EmbeddingGemma has two: in bf16 they were given fp32 states and refused."""
    monkeypatch.setattr(hardware, "cpu_has_bf16", lambda: True)
    gemma = next(family for family in families.FAMILIES if family.name == "gemma")
    families.build(gemma, tmp_path)
    ids = [np.arange(5, 5 + length, dtype=np.int32) for length in (3, 30)]
    exact, half = (
        load_local(gemma.spec(), tmp_path, EngineOptions(device="cpu", precision=precision))
        for precision in ("fp32", "bf16")
    )
    assert cosine(half.embed_ids(ids), exact.embed_ids(ids)).min() >= 0.999
