"""The NumPy engine gives queries the vectors of the whole model, or is not used."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from localembed import models
from localembed.embedding import (
    EngineOptions,
    LoadContext,
    Profile,
    local,
    probe,
    query_key,
    read_shape,
)
from localembed.embedding.engines.bert import is_bert, read_bert
from localembed.embedding.engines.numpy_bert import LightEngine
from localembed.embedding.profiles import ProfileStore
from tests.families import FAMILIES, QUERIES, build, cosine
from tests.local_models import load_local, load_local_for_queries

KNOWN = {"bert", "xlm-roberta"}


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    """Return the folder of a family's tiny model, built on first use."""
    home = tmp_path_factory.mktemp("numpy")

    def folder(name):
        if not (home / name).exists():
            (home / name).mkdir()
            build(next(family for family in FAMILIES if family.name == name), home / name)
        return home / name

    return folder


def family(name):
    return next(family for family in FAMILIES if family.name == name)


def how(engine="auto", **context):
    """Return how to load: options and context, by name."""
    known = LoadContext(model_id="some-model", profiles=ProfileStore())
    options = EngineOptions(precision="fp32", engine=engine)
    return {"options": options, "context": replace(known, **context)}


def loaded(name, folder, **other):
    """Load a family's model as an indexing run does, which compares the NumPy engine with it."""
    return load_local(family(name).spec(), folder, **how(engine="torch", **other))


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_a_query_gets_the_vector_of_the_whole_model(own_home, model_folder, name):
    spec, folder = family(name).spec(), model_folder(name)
    whole = loaded(name, folder)
    numpy = load_local_for_queries(spec, folder, **how())

    assert (whole.engine.name, numpy.engine.name) == ("torch", "light")
    for query in (*QUERIES, "", "word " * 500):
        assert cosine(numpy.embed_query(query), whole.embed_query(query)) >= 0.999999
        assert numpy.embed_query(query).dtype == np.float32


def test_the_packaged_model_is_embedded_by_numpy(own_home, minilm):
    model = models.open_model("all-MiniLM-L6-v2")
    whole = load_local(model.spec, model.folder, **how(engine="torch", model_id=model.space_id))
    numpy = load_local_for_queries(model.spec, model.folder, **how(model_id=model.space_id))

    assert numpy.engine.name == "light"
    for query in ("rotating api keys", "parseConfig", "天安门", "a " * 300, "émigré naïve"):
        assert cosine(numpy.embed_query(query), whole.embed_query(query)) >= 0.999999


@pytest.mark.parametrize("name", [f.name for f in FAMILIES if f.name not in KNOWN])
def test_other_families_take_the_whole_model(own_home, model_folder, name):
    folder = model_folder(name)
    assert not is_bert(read_shape(folder))
    queries = load_local_for_queries(family(name).spec(), folder, **how())
    assert queries.engine.name in ("torch", "static")


def test_a_numpy_model_that_differs_is_not_used(own_home, model_folder, monkeypatch):
    folder = model_folder("bert")
    right = LightEngine.submit
    monkeypatch.setattr(LightEngine, "submit", lambda self, items: right(self, items)[:, ::-1])
    loaded("bert", folder)

    key = probe.with_versions(query_key("some-model"))
    assert ProfileStore().recall(key) == Profile(engine="torch")
    queries = load_local_for_queries(family("bert").spec(), folder, **how())
    assert queries.engine.name == "fused"


def test_a_numpy_model_that_raises_is_not_used(own_home, model_folder, monkeypatch):
    folder = model_folder("bert")
    with monkeypatch.context() as patch:
        patch.setattr(LightEngine, "submit", lambda *_: 1 / 0)
        assert load_local(family("bert").spec(), folder, **how()).engine.name == "fused"
    queries = load_local_for_queries(family("bert").spec(), folder, **how())
    assert queries.engine.name == "fused"


def test_a_numpy_model_without_memory_is_tried_again(own_home, model_folder, monkeypatch):
    def fail(*_):
        raise MemoryError

    folder = model_folder("bert")
    with monkeypatch.context() as patch:
        patch.setattr(LightEngine, "submit", fail)
        loaded("bert", folder)
    loaded("bert", folder)
    queries = load_local_for_queries(family("bert").spec(), folder, **how())
    assert queries.engine.name == "light"


def test_an_engine_that_was_never_compared_is_not_used(own_home, model_folder):
    spec, folder = family("bert").spec(), model_folder("bert")
    assert load_local_for_queries(spec, folder, **how()).engine.name == "fused"
    assert load_local_for_queries(spec, folder, **how()).engine.name == "light"
    assert load_local_for_queries(spec, folder, **how(profiles=None)).engine.name == "fused"
    assert load_local_for_queries(spec, folder, **how(model_id="x")).engine.name == "fused"


def test_another_version_of_torch_is_compared_again(own_home, model_folder, monkeypatch):
    spec, folder = family("bert").spec(), model_folder("bert")
    loaded("bert", folder)
    assert load_local_for_queries(spec, folder, **how()).engine.name == "light"
    monkeypatch.setattr(probe, "version", lambda _name: "99.0")
    assert load_local_for_queries(spec, folder, **how()).engine.name == "fused"
    assert load_local_for_queries(spec, folder, **how()).engine.name == "light"


def test_a_requested_engine_is_used(own_home, model_folder):
    spec, folder = family("bert").spec(), model_folder("bert")
    loaded("bert", folder)
    assert load_local_for_queries(spec, folder, **how(engine="torch")).engine.name == "torch"


@pytest.mark.parametrize("change", [{"hidden_act": "relu"}, {"position_embedding_type": "x"}])
def test_another_architecture_under_the_same_name_is_left_alone(model_folder, tmp_path, change):
    folder = model_folder("bert")
    config = json.loads((folder / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(ValueError, match="activation or position"):
        read_bert(tmp_path, read_shape(folder))
    assert local._numpy_embedder(family("bert").spec(), tmp_path, read_shape(folder)) is None


@pytest.mark.parametrize("kind", ["F16", "none"])
def test_weights_of_another_kind_are_left_to_torch(model_folder, tmp_path, kind):
    from safetensors.numpy import load_file, save_file

    folder = model_folder("bert")
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    tensors = load_file(folder / "model.safetensors")
    if kind == "F16":
        changed = {name: tensor.astype(np.float16) for name, tensor in tensors.items()}
    else:
        changed = {"something": np.zeros(3, np.float32)}
    save_file(changed, tmp_path / "model.safetensors")
    assert local._numpy_embedder(family("bert").spec(), tmp_path, read_shape(folder)) is None


def test_all_of_a_long_query_counts(own_home, model_folder):
    spec, folder = family("bert").spec(), model_folder("bert")
    embedder = loaded("bert", folder)
    words = "the lamp burns through the night " * 40
    whole, beginning = (
        embedder.embed_query(words + "rotating api keys"),
        embedder.embed_query(words),
    )
    assert cosine(whole, beginning) < 0.99999
    assert np.linalg.norm(whole) == pytest.approx(1, abs=1e-5)
    assert spec.max_tokens < len(words.split())
