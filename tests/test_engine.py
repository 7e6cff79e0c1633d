"""The embedder around an engine: batches, running out of memory, what a machine can do."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from localembed.bench.measure import largest_batch
from localembed.bench.sample import Sample
from localembed.core.files import write_json
from localembed.embedding import EngineOptions, Profile, options
from localembed.embedding.engines import hardware
from localembed.embedding.engines.batching import (
    Padding,
    make_batches,
    pad,
    padded_lengths,
    split_evenly,
)
from localembed.embedding.local_embedder import LocalEmbedder, SpecialTokens
from localembed.embedding.profiles import ProfileStore
from localembed.embedding.tokenizers.fast import FastTokenizer
from localembed.errors import UsageError
from localembed.types.models import ModelInput, ModelSpec

SPEC = ModelSpec("m", "b", (), dim=4, max_tokens=64, pooling="mean", normalize=True, license="none")
NOTHING = np.zeros(0, np.int32)


class CountingEngine:
    """An engine whose vectors identify their items, and which raises for a batch over its room."""

    name, device, precision, pads_to = "counting", "cpu", "fp32", 1

    def __init__(self, room: int = 10**9) -> None:
        self.room = room
        self.batches: list[int] = []
        self.freed = 0

    def submit(self, items):
        padded = max(map(len, items)) * len(items)
        if padded > self.room:
            raise MemoryError
        self.batches.append(padded)
        return np.array([[item.sum(), len(item), item[0], 1] for item in items], np.float32)

    def collect(self, handles):
        return np.concatenate(handles)

    def is_out_of_memory(self, error):
        return isinstance(error, MemoryError)

    def free(self):
        self.freed += 1


class NoTokenizer(FastTokenizer):
    """Tokenizes nothing: these tests embed ids."""

    def __init__(self) -> None:
        pass


def embedder(engine, budget=1000, told=None) -> LocalEmbedder:
    return LocalEmbedder(
        SPEC, NoTokenizer(), SpecialTokens(NOTHING, NOTHING), engine, budget,
        on_smaller=(told if told is not None else []).append,
    )  # fmt: skip


def items(lengths):
    numbers = itertools.count(1)
    return [np.full(length, next(numbers), np.int32) for length in lengths]


# batches


@given(st.lists(st.integers(1, 300), max_size=300), st.integers(1, 5000))
def test_every_item_is_in_one_batch_within_the_budget(lengths, budget):
    batches = batches_of(lengths, budget)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        padded = max(lengths[index] for index in batch) * len(batch)
        assert padded <= budget or len(batch) == 1


@given(st.lists(st.integers(0, 300), min_size=1, max_size=300), st.integers(1, 5000))
def test_without_padding_a_batch_is_as_full_as_it_can_be(lengths, budget):
    batches = batches_of(lengths, budget, pads=False)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    sizes = [sum(lengths[index] for index in batch) for batch in batches]
    for size, batch, behind in zip(sizes, batches, [*batches[1:], None], strict=True):
        assert size <= budget or len(batch) == 1
        assert behind is None or size + lengths[behind[0]] > budget


def batches_of(lengths, budget, **how):
    parts = make_batches(np.array(lengths, np.int64), budget, **how)
    return [part.tolist() for part in parts]


@given(st.integers(1, 600), st.sampled_from([1, 16]), st.integers(0, 600))
def test_rounding_up_stays_below_one_step_and_the_models_maximum(longest, pads_to, most):
    (padded,) = padded_lengths(np.array([longest]), pads_to, most).tolist()
    assert longest <= padded < longest + pads_to
    assert padded == longest or padded <= most


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("longest", [30, 100, 256])
def test_padding_of_a_window_is_under_a_twentieth(seed, longest):
    lengths = np.random.default_rng(seed).integers(1, longest, 2048).tolist()
    batches = batches_of(lengths, 4096)
    padded = sum(max(lengths[i] for i in batch) * len(batch) for batch in batches)
    assert 1 - sum(lengths) / padded < 0.05


def test_the_longest_come_first():
    lengths = [5, 200, 7, 100, 201, 6]
    longest = [max(lengths[i] for i in batch) for batch in batches_of(lengths, 256)]
    assert longest == sorted(longest, reverse=True)


def test_a_few_short_texts_are_one_batch_whatever_their_padding():
    assert len(batches_of([3, 20, 60, 7], 4096)) == 1


def test_an_item_over_the_budget_is_a_batch_of_its_own():
    assert batches_of([5000, 10], 4096) == [[0], [1]]
    assert batches_of([], 4096) == []


def test_padding_is_masked():
    ids, mask = pad([np.array([5, 6, 7], np.int32), np.array([8], np.int32)], Padding(9))
    assert ids.tolist() == [[5, 6, 7], [8, 9, 9]]
    assert mask.tolist() == [[1, 1, 1], [1, 0, 0]]


# the embedder


@given(st.lists(st.integers(1, 60), min_size=1, max_size=60), st.integers(1, 500))
def test_the_order_of_vectors_is_that_of_the_items(lengths, budget):
    given_items = items(lengths)
    vectors = embedder(CountingEngine(), budget).embed_ids(given_items)
    assert vectors[:, 2].tolist() == [item[0] for item in given_items]
    assert vectors[:, 1].tolist() == lengths


def test_special_tokens_surround_a_text():
    special_tokens = SpecialTokens(np.array([1], np.int32), np.array([9], np.int32))
    assert special_tokens.around(np.array([7, 8], np.int32)).tolist() == [1, 7, 8, 9]


@pytest.mark.parametrize("length", [1, 6, 7, 50])
def test_a_long_text_is_split_evenly_behind_its_prompt(length):
    prompt, text = np.array([1, 2], np.int32), np.arange(10, 10 + length, dtype=np.int32)
    pieces = split_evenly(np.concatenate((prompt, text)), 8, prompt)
    assert all(len(piece) <= 8 and piece[:2].tolist() == [1, 2] for piece in pieces)
    assert np.concatenate([piece[2:] for piece in pieces]).tolist() == text.tolist()
    sizes = [len(piece) for piece in pieces]
    assert max(sizes) - min(sizes) <= 1
    assert len(pieces) == -(-length // 6)


class Reported(list[int]):
    """Progress of a call that ends after so many batches."""

    def __init__(self, batches=10_000):
        super().__init__()
        self._batches = batches

    def begun(self, inputs):
        self.append(inputs)

    def is_over(self):
        return len(self) >= self._batches


def inputs(lengths):
    return [ModelInput("", ids) for ids in items(lengths)]


def test_progress_counts_every_item():
    reported = Reported()
    made = embedder(CountingEngine(), 100).embed_documents(inputs([10] * 25), reported)
    assert sum(reported) == 25
    assert len(reported) > 1
    assert (made.failures, made.unfinished) == ({}, frozenset())


@pytest.mark.parametrize("batches", [0, 1, 2])
def test_an_early_end_returns_what_was_begun(batches):
    reported = Reported(batches)
    made = embedder(CountingEngine(), 100).embed_documents(inputs([10] * 25), reported)
    finished = np.isfinite(made.vectors).all(axis=1)
    assert len(reported) == batches
    assert finished.sum() == sum(reported) == 25 - len(made.unfinished)
    assert np.isnan(made.vectors[list(made.unfinished)]).all()
    assert made.failures == {}


def test_use_counts_tokens_and_padding():
    made = embedder(CountingEngine())
    made.embed_ids(items([10, 10, 8]))
    assert (made.use.tokens, made.use.padded_tokens) == (28, 30)
    assert made.use.padding == pytest.approx(2 / 30)
    assert embedder(CountingEngine()).use.padding == 0


# running out of memory


def test_a_batch_that_does_not_fit_is_halved_until_it_does():
    engine, told = CountingEngine(room=130), list[int]()
    made = embedder(engine, 1000, told)
    lengths = [10] * 90

    vectors = made.embed_ids(items(lengths))

    assert np.isfinite(vectors).all()
    assert vectors[:, 2].tolist() == list(range(1, 91))
    assert told == [450, 225, 110]
    assert max(engine.batches) <= 110
    assert engine.freed == 3
    assert made.use.too_large == 0


def test_the_smaller_budget_stays():
    engine = CountingEngine(room=130)
    made = embedder(engine, 1000)
    made.embed_ids(items([10] * 90))
    freed = engine.freed
    made.embed_ids(items([10] * 90))
    assert engine.freed == freed
    assert made.use.batch_tokens == 110


def test_one_item_that_does_not_fit_fails_alone():
    made = embedder(CountingEngine(room=50), 1000)

    vectors = made.embed_ids(items([40, 200, 30, 20]))

    assert np.isfinite(vectors).all(axis=1).tolist() == [True, False, True, True]
    assert made.use.too_large == 1
    assert made.use.tokens == 90


def test_another_error_is_not_mistaken_for_too_little_memory():
    class Broken(CountingEngine):
        def submit(self, items):
            raise RuntimeError("a kernel failed")

    with pytest.raises(RuntimeError, match="kernel"):
        embedder(Broken()).embed_ids(items([3]))


def test_the_largest_batch_of_a_device_is_found():
    sample = Sample("s", (np.ones(10, np.int32),) * 5)
    assert largest_batch(embedder(CountingEngine(room=1500)), sample, 100) == 800


# what this machine can do


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(hardware, "_may_have_cuda", lambda: False)


@pytest.fixture
def cpuinfo(monkeypatch, tmp_path):
    """Fake the CPU's flags."""

    def fake(flags: str) -> None:
        monkeypatch.setattr(hardware, "_text", lambda path: {
            "/proc/cpuinfo": f"model name\t: Test CPU\nflags\t: fpu {flags}\n",
        }.get(str(path), ""))  # fmt: skip

    return fake


@pytest.mark.parametrize(
    ("flags", "requested", "found"),
    [
        ("avx512f amx_bf16", "auto", "bf16"),
        ("avx512_bf16", "auto", "bf16"),
        ("avx2 avx512f", "auto", "fp32"),
        ("amx_bf16", "fp32", "fp32"),
        ("amx_bf16", "bf16", "bf16"),
    ],
)
def test_precision_is_gated_by_the_cpus_flags(cpuinfo, flags, requested, found):
    cpuinfo(flags)
    assert hardware.choose_precision(requested, "cpu") == found


def test_instruction_sets_are_those_that_decide_the_code(cpuinfo, monkeypatch):
    for name in ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"):
        monkeypatch.delenv(name, raising=False)
    cpuinfo("sse4_2 avx2 avx512f avx512_bf16 amx_tile avx2")
    assert hardware.instruction_sets() == "amx_tile avx2 avx512_bf16 avx512f"
    cpuinfo("sse4_2")
    assert hardware.instruction_sets() == ""


def test_a_variable_that_restricts_instruction_sets_makes_them_others(cpuinfo, monkeypatch):
    cpuinfo("avx2 avx512bw")
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "")
    monkeypatch.delenv("DNNL_MAX_CPU_ISA", raising=False)
    assert hardware.instruction_sets() == "avx2 avx512bw ONEDNN_MAX_CPU_ISA=AVX2"


@pytest.mark.parametrize(("requested", "hint"), [("bf16", "AMX"), ("fp16", "GPU")])
def test_a_precision_that_would_be_emulated_is_refused(cpuinfo, requested, hint):
    cpuinfo("avx2")
    with pytest.raises(UsageError, match=hint):
        hardware.choose_precision(requested, "cpu")


@pytest.mark.parametrize(("slow", "is_fast"), [("bf16", False), ("fp32", True)])
def test_bf16_is_confirmed_by_multiplying(monkeypatch, slow, is_fast):
    """A fake torch one of whose types is slow, whatever the flags say."""
    now = [0.0]

    class Matrix:
        def __init__(self, dtype):
            self.dtype = dtype

        def __matmul__(self, other):
            now[0] += 0.01 if self.dtype == slow else 0.001

    class Torch:
        bfloat16, float32 = "bf16", "fp32"

        @staticmethod
        def ones(_shape, dtype):
            return Matrix(dtype)

    with monkeypatch.context() as patched:
        patched.setattr("time.perf_counter", lambda: now[0])
        assert hardware.bf16_is_fast(Torch) == is_fast


def test_a_missing_device_is_refused(no_gpu):
    with pytest.raises(UsageError, match="torch finds no CUDA GPU here"):
        hardware.choose_device("cuda")
    with pytest.raises(UsageError, match="cuda:7"):
        hardware.choose_device("cuda:7")
    with pytest.raises(UsageError, match="must be auto"):
        hardware.choose_device("tpu")
    assert hardware.choose_device("auto") == "cpu"


def test_free_memory_is_what_the_cgroup_leaves(monkeypatch, tmp_path):
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("400000\n")
    inner = tmp_path / "user.slice" / "session.scope"
    inner.mkdir(parents=True)
    (inner / "memory.max").write_text("max\n")
    (inner / "memory.current").write_text("1000\n")
    texts = {"/proc/self/cgroup": "0::/user.slice/session.scope\n"}
    really = hardware._text
    monkeypatch.setattr(hardware, "_text", lambda path: texts.get(str(path)) or really(path))
    assert hardware.free_memory(tmp_path) == 600_000
    (tmp_path / "memory.max").write_text("max\n")
    free = hardware.free_memory(tmp_path)
    assert free is not None
    assert free > 600_000


# profiles


def test_a_profile_is_kept_and_recalled(own_home):
    key = options.profile_key("m", "Test CPU x2", "fp32")
    assert ProfileStore().recall(key) == Profile()
    ProfileStore().keep(key, Profile(engine="torch", batch_tokens=2048, threads=2))
    ProfileStore().keep("other", Profile(batch_tokens=1))
    assert ProfileStore().recall(key) == Profile("torch", 2048, 2)


@pytest.mark.parametrize(
    "fields",
    [
        {"engine": ["x"], "batch_tokens": "abc", "threads": -5, "named": 1},
        {"batch_tokens": True, "threads": 1.5, "chunks_per_second": 0, "engine": None},
    ],
)
def test_fields_of_a_profile_that_cannot_be_are_ignored(own_home, fields):
    ProfileStore().keep("key", Profile(batch_tokens=1))
    path = next(own_home.rglob("profiles.json"))
    write_json(path, {"key": {**fields, "tokens_per_minute": 2.5}})
    assert ProfileStore().recall("key") == Profile(tokens_per_minute=2.5)


def test_a_broken_profile_file_is_no_error(own_home):
    profiles = ProfileStore()
    profiles.keep("key", Profile(batch_tokens=1))
    path = next(own_home.rglob("profiles.json"))
    path.write_text("{")
    assert profiles.recall("key") == Profile()


def test_options_are_auto_by_default():
    assert EngineOptions() == EngineOptions("auto", "auto", "auto", None, None)
