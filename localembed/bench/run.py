"""One call of `localembed bench`: the model, the sample, and what can be measured with them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from localembed import clean
from localembed.bench import measure, sample, stages, sweep
from localembed.bench.latency import QueryLatency, measure_queries
from localembed.catalog import LocatedModel, open_model
from localembed.chunk.chunker import Chunker
from localembed.chunk.rules import ChunkRules
from localembed.embedding import (
    EngineOptions,
    choose_device,
    device_name,
    load_tokenizer,
)
from localembed.embedding.matmul import matmul_rate
from localembed.errors import UsageError
from localembed.profiles import ProfileBook
from localembed.sources import WalkRules
from localembed.types import Root, SourceFile
from localembed.workspace import Workspace

_CHUNKS = {"cpu": 320, "gpu": 20_000}
_QUICK_CHUNKS = {"cpu": 96, "gpu": 4_000}
_SECONDS, _QUICK_SECONDS = 6.0, 3.0
_QUERY = "how does this work"


@dataclass(frozen=True, slots=True)
class Bench:
    """Everything that was asked for, checked; nothing heavy is loaded yet."""

    workspace: Workspace
    model: LocatedModel
    options: EngineOptions
    device: str
    machine: str
    files: tuple[SourceFile, ...]
    """In random order; empty for made-up ids."""
    chunks: int
    seconds: float
    """For one point."""

    @classmethod
    def prepare(
        cls,
        workspace: Workspace,
        paths: Sequence[str | os.PathLike[str]],
        *,
        synthetic: bool,
        quick: bool,
        chunks: int | None,
        on_notice: Callable[[str], None],
    ) -> Bench:
        """Find the model, the device and the files.

        Raises:
            UsageError: there is nothing to measure with, or a device is not there.
        """
        settings = workspace.settings.settings
        device = choose_device(settings.device)
        model = open_model(settings.model, workspace.layout)
        kind = "cpu" if device == "cpu" else "gpu"
        options = EngineOptions(
            device=settings.device,
            model_id=model.space_id,
            memory=ProfileBook(),
            on_notice=on_notice,
        )
        files = () if synthetic else tuple(_files(workspace, paths, settings.max_file_size))
        return cls(
            workspace=workspace,
            model=model,
            options=options,
            device=device,
            machine=device_name(device),
            files=files,
            chunks=chunks or (_QUICK_CHUNKS if quick else _CHUNKS)[kind],
            seconds=_QUICK_SECONDS if quick else _SECONDS,
        )

    @property
    def sample_name(self) -> str:
        """What is measured with."""
        return "your files" if self.files else "made-up words"

    def sweep(self, axes: sweep.Axes) -> Iterator[measure.Point]:
        """Yield a point for each combination."""
        sweep.check(axes, self.options)
        return sweep.sweep(self.model, self._sample(), axes, self.options, self.seconds)

    def save(self, points: Sequence[measure.Point]) -> measure.Point:
        """Keep the best for `index`."""
        return sweep.save(self.model, points, self.options)

    def largest_batch(self) -> int:
        """Return the largest batch that fits on the device."""
        embedder = sweep.load(self.model, self.options)
        texts = self._sample().cut(min(128, self.model.spec.max_tokens - 2))
        return measure.largest_batch(embedder, texts, embedder.use.batch_tokens)

    def matmul_rate(self, point: measure.Point) -> float:
        """Return what a point's share is of, in operations per second."""
        return matmul_rate(point.device, point.precision, point.threads)

    def stages(self) -> list[stages.StageRate]:
        """Measure each stage alone.

        Raises:
            UsageError: there are no files.
        """
        if not self.files:
            message = "--stages needs files. Leave out: --synthetic"
            raise UsageError(message)
        embedder = sweep.load(self.model, self.options)
        return stages.measure_stages(
            self.files, self._chunker(), embedder, embed_chunks=self.chunks
        )

    def queries(self) -> QueryLatency:
        """Measure cold and warm queries of the workspace."""
        folder = str(self.workspace.folder)
        return measure_queries(folder, _QUERY, self.workspace.query)

    def _chunker(self) -> Chunker:
        spec = self.model.spec
        tokenizer = load_tokenizer(spec, self.model.folder)
        prompt = len(tokenizer([spec.document_prompt])[0].ids)
        most = spec.max_tokens - tokenizer.special_tokens - prompt
        return Chunker(tokenizer, clean.clean, ChunkRules(most, most // 8), spec.document_prompt)

    def _sample(self) -> sample.Sample:
        if self.files:
            return sample.from_files(self.files, self._chunker(), self.chunks)
        tokenizer = load_tokenizer(self.model.spec, self.model.folder)
        length = min(128, self.model.spec.max_tokens) - tokenizer.special_tokens
        return sample.synthetic(self.chunks, length, tokenizer)


def _files(
    workspace: Workspace, paths: Sequence[str | os.PathLike[str]], max_file_size: int
) -> list[SourceFile]:
    """Return the files of PATHS, else of the workspace's roots."""
    scopes: list[tuple[Root, bytes]] = []
    for path in paths:
        absolute = os.path.abspath(os.fsencode(path))  # noqa: PTH100 - bytes
        if not os.path.exists(absolute):  # noqa: PTH110 - bytes
            message = f"{path} does not exist."
            raise UsageError(message)
        scopes.append((Root("bench", absolute), b""))
    if not paths and workspace.layout.exists():
        scopes = [(root, b"") for root in workspace.roots]
    return sample.sample_files(scopes, WalkRules(max_file_size))
