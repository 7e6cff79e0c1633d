"""Probes of engines: their vectors of a few texts, compared with an independent implementation.

The fused engine calls private operations of torch, which another version may change or remove. So
it is compared with a reference before its first batch, once per model, precision, version of torch
and localembed, and the CPU's instruction sets; the outcome is kept in the profile store. The
reference is the NumPy engine, which has only the reading of the model's folder in common with it
and needs no import of sentence-transformers. Only if they differ, or the NumPy engine cannot read
the weights, do the model's own modules decide.

A probe of all-MiniLM-L6-v2 takes 0.36 s of CPU time in fp32 and 0.30 s in bf16 (one core with
AVX-512), of which NumPy takes 0.22 s. Its lowest cosine is 0.9999999 in fp32 and 0.99996 in bf16.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from localembed.embedding.engines.batching import Padding
from localembed.embedding.engines.bert import Bert
from localembed.embedding.engines.fused import FusedEngine
from localembed.embedding.engines.hardware import instruction_sets, is_out_of_memory
from localembed.embedding.engines.numpy_bert import LightEngine
from localembed.embedding.options import Profile, Profiles
from localembed.errors import LocalembedError

if TYPE_CHECKING:
    from localembed.embedding.engines.base import Engine
    from localembed.embedding.local_embedder import SpecialTokens
    from localembed.embedding.tokenizers.fast import FastTokenizer
    from localembed.types.arrays import IntArray, VectorMatrix

    Batch = Sequence[IntArray]

MIN_COSINE = {"fp32": 0.9999, "bf16": 0.999, "fp16": 0.999}
"""Minimum cosine to a reference in fp32 that makes an engine as good, by its own precision."""
_TEXT = (
    "Rotating API keys: create a second one, wait, then delete the first. What does "
    "parse_config(path) raise when the disk is nearly full? 北京, naïve, 3.14: https://example.org"
)
_LENGTHS = ((512,), (100, 70), (17, 9, 3))
"""Tokens of each item, batch by batch: without padding, with rounding up, and short.

The first stands for the model's maximum if that is lower. Attention in NumPy takes memory with the
square of it, so longer ones are not probed.
"""
_FALLBACK = "torch"

AnyEngine = TypeVar("AnyEngine", bound="Engine")


@dataclass(frozen=True, slots=True)
class ProbeFailure:
    """The reason why an engine is not used."""

    reason: str
    is_new: bool
    """Whether this probe found it, not an earlier one."""


@dataclass(frozen=True, slots=True)
class ProbeRecord:
    """The remembered outcome of a probe, for one engine, model and precision."""

    profiles: Profiles | None
    model_id: str | None
    engine: str
    precision: str

    def read(self) -> bool | None:
        """Return whether the engine passed; None if that is not known for these versions."""
        if self.profiles is None or self.model_id is None:
            return None
        engine = self.profiles.recall(self._key).engine
        return None if engine is None else engine == self.engine

    def write(self, *, passed: bool) -> None:
        """Remember the outcome; without a profile store or a model's identity, do nothing."""
        if self.profiles is not None and self.model_id is not None:
            self.profiles.keep(self._key, Profile(engine=self.engine if passed else _FALLBACK))

    @property
    def _key(self) -> str:
        probe = f"probe of {self.engine} in {self.precision} with {self.model_id}"
        return f"{with_versions(probe)}, {instruction_sets()}"


def with_versions(key: str) -> str:
    """Return a key of the profile store that holds only for these versions of torch and localembed.

    They are read from the installed packages: a query must not import torch.
    """
    return f"{key}, torch {torch_version()}, localembed {_installed('localembed')}"


def torch_version() -> str:
    """Return the installed version of torch without importing it."""
    return _installed("torch")


def make_batches(
    tokenizer: FastTokenizer, special_tokens: SpecialTokens, max_tokens: int
) -> list[Batch]:
    """Return the batches of a probe, with special tokens and no longer than the model allows."""
    ids = tokenizer([_TEXT])[0].ids

    def item(length: int) -> IntArray:
        room = max(1, min(length, max_tokens) - special_tokens.size)
        return special_tokens.around(np.resize(np.roll(ids, -length), room))

    return [[item(length) for length in lengths] for lengths in _LENGTHS]


def load_probed(
    load: Callable[[], AnyEngine],
    references: Iterable[Engine],
    batches: Sequence[Batch],
    record: ProbeRecord,
) -> AnyEngine | ProbeFailure:
    """Load an engine and probe it, unless the outcome for these versions is known.

    If memory runs out, the probe says nothing: the engine is used and nothing is remembered.

    Args:
        load: loads the engine.
        references: engines to compare with, loaded one by one until one gives the same vectors.
        batches: the items to embed.
        record: where the outcome is remembered.

    Raises:
        OSError: a file of the model is missing.
        ValueError: a file of the model does not fit the engine.
        LocalembedError: the model contradicts models.toml.
    """
    passed = record.read()
    if passed is False:
        return ProbeFailure("an earlier run found this", is_new=False)
    try:
        engine = load()
    except (OSError, ValueError, LocalembedError):
        raise
    except Exception as error:  # noqa: BLE001 - whatever a changed operation raises
        return _failed(error, record)
    if passed:
        return engine
    try:
        vectors = _vectors(engine, batches)
    except Exception as error:  # noqa: BLE001 - whatever a changed operation raises
        return engine if is_out_of_memory(error) else _failed(error, record)
    least = MIN_COSINE[engine.precision]
    try:
        passed = any(_agrees(each, batches, vectors, least) for each in references)
    except MemoryError:
        return engine
    record.write(passed=passed)
    return engine if passed else ProbeFailure("it returns other vectors", is_new=True)


def references_of_fused(
    bert: Bert, folder: Path, padding: Padding, *, normalize: bool
) -> Iterator[Engine]:
    """Yield the NumPy engine, if the weights are fp32, then the model's own modules."""
    with suppress(ValueError):
        yield LightEngine(bert, normalize=normalize)
    from localembed.embedding.engines.torch import TorchEngine
    from localembed.embedding.engines.torch_model import load_model

    model = load_model(folder, "cpu", "fp32")
    yield TorchEngine(model, "cpu", "fp32", padding=padding, normalize=normalize)


def _failed(error: Exception, record: ProbeRecord) -> ProbeFailure:
    """Return the failure for an error, and remember it unless memory ran out."""
    if is_out_of_memory(error):
        return ProbeFailure("there is not enough memory", is_new=True)
    record.write(passed=False)
    first = (str(error).splitlines() or [""])[0][:200]
    return ProbeFailure(f"{type(error).__name__}: {first}".rstrip(".: "), is_new=True)


def _vectors(engine: Engine, batches: Sequence[Batch]) -> VectorMatrix:
    if isinstance(engine, FusedEngine):  # when memory runs out, `submit` does not raise
        return np.concatenate([engine.compute(batch) for batch in batches])
    return engine.collect([engine.submit(batch) for batch in batches])


def _agrees(
    reference: Engine, batches: Sequence[Batch], vectors: VectorMatrix, min_cosine: float
) -> bool:
    """Return whether a reference gives the same vectors; one that raises does not.

    Raises:
        MemoryError: there is not enough memory for the reference.
    """
    try:
        expected = _vectors(reference, batches)
    except Exception as error:
        if is_out_of_memory(error):
            raise MemoryError from error
        return False
    return _are_same(vectors, expected, min_cosine)


def _are_same(vectors: VectorMatrix, expected: VectorMatrix, min_cosine: float) -> bool:
    """Return whether all vectors are near enough, in direction and in length.

    Vectors of length 1 with a cosine of c are sqrt(2 - 2c) apart; NaN is near nothing.
    """
    if vectors.shape != expected.shape:
        return False
    distances = np.linalg.norm(vectors - expected, axis=1)
    allowed = np.sqrt(2 - 2 * min_cosine) * np.linalg.norm(expected, axis=1)
    return bool((distances <= allowed).all())


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
