"""All combinations that were asked for, one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

from localembed.bench.measure import Point, knee, measure
from localembed.bench.sample import Sample
from localembed.catalog import LocatedModel
from localembed.embedding import (
    EngineOptions,
    Profile,
    choose_device,
    choose_precision,
    cores,
    device_name,
    load_embedder,
    profile_key,
    read_shape,
)
from localembed.embedding.embedder import LocalEmbedder
from localembed.errors import UsageError


@dataclass(frozen=True, slots=True)
class Axes:
    """What is varied."""

    batch_tokens: tuple[int, ...]
    precisions: tuple[str, ...] = ("auto",)
    engines: tuple[str, ...] = ("auto",)
    threads: tuple[int | None, ...] = (None,)
    lengths: tuple[int, ...] = ()
    """Besides the sample as it is; of each length one more series."""


def check(axes: Axes, options: EngineOptions) -> None:
    """Refuse what this machine cannot do, before a model is loaded.

    Raises:
        UsageError: a device, precision or engine is not there.
    """
    device = choose_device(options.device)
    for precision in axes.precisions:
        choose_precision(precision, device)


def sweep(
    model: LocatedModel, sample: Sample, axes: Axes, options: EngineOptions, seconds: float
) -> Iterator[Point]:
    """Yield a point for each combination; a model is loaded once for all its budgets."""
    shape = read_shape(model.folder)
    samples = [sample.cut(length) for length in axes.lengths] or [sample]
    for engine, precision, threads in product(axes.engines, axes.precisions, axes.threads):
        asked = replace(
            options,
            engine=engine,
            precision=precision,
            threads=threads,
            batch_tokens=max(axes.batch_tokens),
        )
        embedder = load(model, asked)
        for texts, budget in product(samples, axes.batch_tokens):
            yield measure(
                embedder, texts, budget,
                seconds=seconds, threads=threads or cores(), shape=shape,
            )  # fmt: skip


def load(model: LocatedModel, options: EngineOptions) -> LocalEmbedder:
    """Load a model that runs here.

    Raises:
        UsageError: its backend computes elsewhere.
    """
    embedder = load_embedder(model.spec, model.folder, options)
    if not isinstance(embedder, LocalEmbedder):
        message = f"Model '{model.spec.name}' is not computed on this machine."
        raise UsageError(message)
    return embedder


def save(model: LocatedModel, points: Sequence[Point], options: EngineOptions) -> Point:
    """Keep the best for `index` on this device, model and precision; return what was kept."""
    best = max(points, key=lambda point: point.chunks_per_second)
    same = [point for point in points if _series(point) == _series(best)]
    chosen = knee(same)
    if options.memory is not None:
        key = profile_key(model.spec.name, device_name(chosen.device), chosen.precision)
        name = {"torch compiled": "compile", "torch packed": None, "static": None}.get(
            chosen.engine, chosen.engine
        )
        threads = chosen.threads if chosen.device == "cpu" else None
        options.memory.keep(key, Profile(name, chosen.batch_tokens, threads))
    return chosen


def _series(point: Point) -> tuple[object, ...]:
    return point.engine, point.precision, point.threads, point.sample
