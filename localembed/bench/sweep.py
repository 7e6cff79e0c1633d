"""Measure all combinations of settings in turn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

from localembed.bench.measure import Point, knee, measure
from localembed.bench.sample import Sample
from localembed.embedding import (
    EngineOptions,
    LoadContext,
    Profile,
    backend_of,
    choose_device,
    choose_precision,
    cores,
    device_name,
    load_embedder,
    profile_key,
    read_shape,
)
from localembed.embedding.local_embedder import LocalEmbedder
from localembed.errors import UsageError
from localembed.models import LocatedModel

_ENGINES = {
    "fused": "fused",
    "torch": "torch",
    "torch compiled": "compile",
    "openvino": "openvino",
}
"""Engine name → value of the setting that selects it; others follow from model and device."""


@dataclass(frozen=True, slots=True)
class Axes:
    """The settings to vary."""

    batch_tokens: tuple[int, ...]
    precisions: tuple[str, ...]
    engines: tuple[str, ...]
    threads: tuple[int | None, ...]
    lengths: tuple[int, ...] = ()
    """Text lengths in tokens, one series each, instead of the sample's own lengths."""


def check(axes: Axes, options: EngineOptions, max_tokens: int) -> None:
    """Refuse settings that this machine does not support, before a model is loaded.

    Raises:
        UsageError: a device or precision is not available, or a text is longer than `max_tokens`,
            which the model reads at most.
    """
    if axes.lengths and max(axes.lengths) > max_tokens:
        longest = max(axes.lengths)
        message = f"--lengths {longest}: the model reads at most {max_tokens:,} tokens."
        raise UsageError(message)
    device = choose_device(options.device)
    for precision in axes.precisions:
        choose_precision(precision, device)


def sweep(
    model: LocatedModel,
    sample: Sample,
    axes: Axes,
    options: EngineOptions,
    context: LoadContext,
    seconds: float,
) -> Iterator[Point]:
    """Yield a point for each combination; a model is loaded once for all batch sizes."""
    shape = read_shape(model.folder)
    samples = [sample.with_length(length) for length in axes.lengths] or [sample]
    for engine, precision, threads in product(axes.engines, axes.precisions, axes.threads):
        options = replace(
            options,
            engine=engine,
            precision=precision,
            threads=threads,
            batch_tokens=max(axes.batch_tokens),
        )
        embedder = load(model, options, context)
        for texts, budget in product(samples, axes.batch_tokens):
            yield measure(
                embedder, texts, budget,
                seconds=seconds, threads=threads or cores(), shape=shape,
            )  # fmt: skip


def load(model: LocatedModel, options: EngineOptions, context: LoadContext) -> LocalEmbedder:
    """Load a model that runs here.

    Raises:
        UsageError: the model is remote.
    """
    remote = backend_of(model.spec).provider is not None
    embedder = None if remote else load_embedder(model.spec, model.folder, options, context=context)
    if not isinstance(embedder, LocalEmbedder):
        message = f"Model '{model.spec.name}' is remote; bench measures local models only."
        raise UsageError(message)
    return embedder


def save(model: LocatedModel, points: Sequence[Point], context: LoadContext) -> Point:
    """Keep the best for `index` on this device, model and precision; return what was kept."""
    best = max(points, key=lambda point: point.chunks_per_second)
    same = [point for point in points if _series(point) == _series(best)]
    chosen = knee(same)
    if context.profiles is not None:
        key = profile_key(model.spec.name, device_name(chosen.device), chosen.precision)
        context.profiles.keep(key, _updated(context.profiles.recall(key), chosen, points))
    return chosen


def _updated(profile: Profile, chosen: Point, points: Sequence[Point]) -> Profile:
    """Return the profile with the chosen settings; engine and threads only if they were varied."""
    updated = replace(
        profile,
        batch_tokens=chosen.batch_tokens,
        chunks_per_second=round(chosen.chunks_per_second, 1),
    )
    if len({point.engine for point in points}) > 1:
        updated = replace(updated, engine=_ENGINES.get(chosen.engine))
    if len({point.threads for point in points}) > 1:
        updated = replace(updated, threads=chosen.threads)
    return updated


def _series(point: Point) -> tuple[object, ...]:
    return point.engine, point.precision, point.threads, point.sample
