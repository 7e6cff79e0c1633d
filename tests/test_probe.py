"""The fused engine is compared with the NumPy engine before its first batch, once per version."""

from __future__ import annotations

import importlib.metadata
from dataclasses import replace

import numpy as np
import pytest

from localembed import models
from localembed.embedding import EngineOptions, LoadContext, probe
from localembed.embedding.engines import fused
from localembed.embedding.engines.fused import FusedEngine
from localembed.embedding.engines.numpy_bert import LightEngine
from localembed.embedding.local_embedder import SpecialTokens
from localembed.embedding.profiles import ProfileStore
from localembed.embedding.tokenizers.fast import FastTokenizer
from localembed.errors import UsageError
from tests.families import FAMILIES, build, cosine
from tests.local_models import load_local
from tests.sweeps import sampled

pytestmark = pytest.mark.skipif(
    not fused.is_available(), reason="this torch has no oneDNN, or this is no x86"
)
BERT = next(family for family in FAMILIES if family.name == "bert")
IDS = [np.arange(5, 5 + length, dtype=np.int32) for length in (30, 4, 17)]
OUT_OF_MEMORY = "DefaultCPUAllocator: can't allocate memory"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return the folder of a tiny BERT model."""
    path = tmp_path_factory.mktemp("bert")
    build(BERT, path)
    return path


@pytest.fixture(scope="module")
def expected(folder):
    """Return the vectors of `IDS` from the model's own modules."""
    options = EngineOptions(device="cpu", precision="fp32", engine="torch", threads=2)
    return load_local(BERT.spec(), folder, options).embed_ids(IDS)


@pytest.fixture
def calls(monkeypatch):
    """Return the names of the engines that were loaded or computed a probe, in order."""
    names = []
    load, vectors = FusedEngine.__init__, probe._vectors

    def counted_load(self, *args, **options):
        names.append("load")
        load(self, *args, **options)

    def counted_vectors(engine, batches):
        names.append(engine.name)
        return vectors(engine, batches)

    monkeypatch.setattr(FusedEngine, "__init__", counted_load)
    monkeypatch.setattr(probe, "_vectors", counted_vectors)
    return names


@pytest.fixture
def notices():
    return []


@pytest.fixture
def load(own_home, folder, notices):
    """Return a function that loads the model as a new process would."""

    def load(engine="auto", precision="fp32", **other):
        options = EngineOptions(device="cpu", precision=precision, engine=engine, threads=2)
        context = LoadContext("some-model", ProfileStore(), on_notice=notices.append)
        return load_local(BERT.spec(), folder, options, replace(context, **other))

    return load


class ChangedOp:
    """An operation of torch and its overload, whose results pass through a function."""

    def __init__(self, op, change):
        self.op, self.change = op, change

    def __call__(self, *args):
        return self.change(self.op(*args))

    def binary(self, *args):
        return self.change(self.op.binary(*args))


class WithoutOverload:
    """An operation of torch that has lost its overload."""

    def __init__(self, op):
        self.op = op

    def __call__(self, *args):
        return self.op(*args)


def raises(error):
    def change(_result):
        raise error

    return lambda op: ChangedOp(op, change)


def returns(change):
    return lambda op: ChangedOp(op, change)


PRODUCT, LAYOUT = "_linear_pointwise", "_reorder_linear_weight"
CHANGES = {
    "product raises": (PRODUCT, raises(RuntimeError("no such mode")), "RuntimeError: no such mode"),
    "product is gone": (PRODUCT, raises(NotImplementedError("gone")), "NotImplementedError: gone"),
    "overload is gone": (PRODUCT, WithoutOverload, "AttributeError"),
    "layout raises": (LAYOUT, raises(RuntimeError("bad layout")), "RuntimeError: bad layout"),
    "layout takes other arguments": (LAYOUT, raises(TypeError("2 arguments")), "TypeError"),
    "product is scaled": (PRODUCT, returns(lambda result: result * 1.2), "other vectors"),
    "product is zero": (PRODUCT, returns(lambda result: result * 0), "other vectors"),
    "product is not a number": (PRODUCT, returns(lambda result: result * np.nan), "other vectors"),
    "product has another shape": (PRODUCT, returns(lambda result: result[:, :-1]), "Error"),
}


@pytest.fixture
def change_op(monkeypatch):
    def change(name, make):
        import torch

        monkeypatch.setattr(torch.ops.mkldnn, name, make(getattr(torch.ops.mkldnn, name)))

    return change


def test_an_engine_that_passes_is_probed_once(load, calls, notices):
    assert load().use.engine == "fused"
    assert calls == ["load", "fused", "light"]
    assert load().use.engine == load("fused").use.engine == "fused"
    assert calls == ["load", "fused", "light", "load", "load"]
    assert notices == []


@pytest.mark.parametrize(("name", "make", "reason"), CHANGES.values(), ids=CHANGES.keys())
def test_a_changed_operation_falls_back_to_torch_with_a_notice(
    load, expected, calls, notices, change_op, name, make, reason
):
    change_op(name, make)

    embedder = load()

    assert embedder.use.engine == "torch"
    assert cosine(embedder.embed_ids(IDS), expected).min() >= 0.999999
    (notice,) = notices
    assert notice.startswith("The fused engine does not work with model 'bert' in torch ")
    assert probe.torch_version() in notice
    assert reason in notice
    calls.clear()
    assert load().use.engine == "torch"
    assert (calls, len(notices)) == ([], 1)


@pytest.mark.parametrize("remembered", [False, True])
@pytest.mark.parametrize("change", ["product raises", "product is scaled", "layout raises"])
def test_a_requested_engine_that_fails_is_an_error(load, notices, change_op, change, remembered):
    name, make, _ = CHANGES[change]
    change_op(name, make)
    if remembered:
        load()
        notices.clear()
    with pytest.raises(UsageError, match=r"--engine fused does not work .* Use: --engine torch"):
        load("fused")
    assert notices == []


def test_the_models_modules_decide_where_numpy_differs(load, calls, notices, monkeypatch):
    right = LightEngine.submit
    monkeypatch.setattr(LightEngine, "submit", lambda self, items: right(self, items)[:, ::-1])
    assert load().use.engine == "fused"
    assert calls == ["load", "fused", "light", "torch"]
    assert notices == []


def test_another_version_of_torch_is_probed_again(load, calls, notices, change_op, monkeypatch):
    with monkeypatch.context() as patch:
        import torch

        op = torch.ops.mkldnn._linear_pointwise
        patch.setattr(torch.ops.mkldnn, "_linear_pointwise", raises(RuntimeError("changed"))(op))
        assert load().use.engine == "torch"
    assert load().use.engine == "torch"
    installed = importlib.metadata.version
    monkeypatch.setattr(
        "localembed.embedding.probe.version",
        lambda name: "99.0" if name == "torch" else installed(name),
    )
    calls.clear()
    assert load().use.engine == "fused"
    assert calls == ["load", "fused", "light"]
    assert len(notices) == 1


@pytest.mark.parametrize(
    "change",
    [{"model_id": "another-model"}, {"model_id": None}, {"profiles": None}],
    ids=["another model", "no identity", "no profile store"],
)
def test_an_outcome_holds_only_where_it_is_known(load, calls, change):
    load()
    calls.clear()
    assert load(**change).use.engine == "fused"
    assert calls == ["load", "fused", "light"]


def test_a_profile_store_that_cannot_be_written_means_another_probe(load, calls, own_home):
    own_home.joinpath("data").write_text("a file where a folder should be")
    for _ in range(2):
        assert load().use.engine == "fused"
    assert calls == ["load", "fused", "light"] * 2


@pytest.mark.parametrize(
    ("engine", "error"), [("fused", RuntimeError(OUT_OF_MEMORY)), ("light", MemoryError())]
)
def test_running_out_of_memory_in_a_probe_is_not_remembered(
    load, calls, notices, monkeypatch, engine, error
):
    def fail(*_):
        raise error

    with monkeypatch.context() as patch:
        if engine == "fused":
            patch.setattr(FusedEngine, "_pooled", fail)
        else:
            patch.setattr(LightEngine, "_vector", fail)
        patch.setattr("localembed.embedding.local._probe_numpy", lambda *_: None)
        assert load().use.engine == "fused"
    assert notices == []
    calls.clear()
    assert load().use.engine == "fused"
    assert calls == ["load", "fused", "light"]


def test_running_out_of_memory_while_loading_is_not_remembered(load, notices, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError(OUT_OF_MEMORY)

    with monkeypatch.context() as patch:
        patch.setattr(FusedEngine, "_load", fail)
        assert load().use.engine == "torch"
    (notice,) = notices
    assert "there is not enough memory" in notice
    assert load().use.engine == "fused"


def test_without_the_fused_operations_nothing_is_probed(load, calls, notices, monkeypatch):
    monkeypatch.setattr(fused, "is_available", lambda: False)
    assert load().use.engine == "torch"
    assert (calls, notices) == ([], [])


def test_weights_in_half_precision_are_compared_with_the_models_modules(
    own_home, folder, tmp_path, calls
):
    from safetensors.numpy import load_file, save_file

    for path in folder.rglob("*"):
        if path.is_file():
            target = tmp_path / path.relative_to(folder)
            target.parent.mkdir(exist_ok=True, parents=True)
            target.write_bytes(path.read_bytes())
    weights = tmp_path / "model.safetensors"
    tensors = load_file(weights)
    halved = {
        name: tensor.astype(np.float16) if tensor.dtype == np.float32 else tensor
        for name, tensor in tensors.items()
    }
    save_file(halved, weights, metadata={"format": "pt"})
    options = EngineOptions(device="cpu", precision="fp32", threads=2)
    assert load_local(BERT.spec(), tmp_path, options).use.engine == "fused"
    assert calls == ["load", "fused", "torch"]


@pytest.mark.parametrize("precision", sampled(["fp32", "bf16"], 2))
def test_the_packaged_model_passes_in_every_precision(own_home, minilm, calls, precision):
    import torch

    if precision == "bf16" and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        pytest.skip("torch does not reorder bf16 weights on this CPU")
    model = models.open_model("all-MiniLM-L6-v2")
    options = EngineOptions(device="cpu", precision=precision, engine="fused", threads=2)
    assert load_local(model.spec, model.folder, options).use.engine == "fused"
    assert calls == ["load", "fused", "light"]


@pytest.mark.parametrize(
    ("max_tokens", "lengths"),
    [
        (512, [[512], [100, 70], [17, 9, 3]]),
        (8192, [[512], [100, 70], [17, 9, 3]]),
        (80, [[80], [80, 70], [17, 9, 3]]),
    ],
)
def test_a_probe_has_short_long_and_padded_items(folder, max_tokens, lengths):
    tokenizer = FastTokenizer(folder)
    special_tokens = SpecialTokens(*tokenizer.special_ids())
    batches = probe.make_batches(tokenizer, special_tokens, max_tokens)
    assert [[len(item) for item in batch] for batch in batches] == lengths
    first = batches[0][0]
    assert first[0] == special_tokens.before[0]
    assert first[-1] == special_tokens.after[-1]
    assert len({item[:3].tobytes() for batch in batches for item in batch}) == 6


def test_vectors_are_compared_in_direction_and_length():
    expected = np.eye(3, 8, dtype=np.float32)
    near, far = expected.copy(), expected.copy()
    near[0, 1], far[0, 1] = 0.01, 0.02
    assert probe._are_same(near, expected, 0.9999)
    assert not probe._are_same(far, expected, 0.9999)
    assert probe._are_same(far, expected, 0.999)
    assert not probe._are_same(expected * 1.1, expected, 0.999)
    assert not probe._are_same(expected * np.nan, expected, 0.999)
    assert not probe._are_same(expected[:2], expected, 0.999)
