"""One call of `localembed bench`: the model, the sample and the measurements."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from localembed.bench import measure, sample, stages, sweep
from localembed.chunking import clean
from localembed.chunking.chunker import Chunker
from localembed.embedding import (
    EngineOptions,
    LoadContext,
    choose_device,
    device_name,
    load_tokenizer,
)
from localembed.embedding.engines.matmul import matmul_rate
from localembed.errors import UsageError
from localembed.models import LocatedModel
from localembed.sources import WalkRules
from localembed.store.head import read_head
from localembed.types.documents import Root, SourceFile
from localembed.workspace.settings import engine_options, load_context
from localembed.workspace.tables import TableSelection, select_table
from localembed.workspace.workspace import Workspace

_SAMPLE_CHUNKS = {"cpu": 320, "gpu": 20_000}
_QUICK_SAMPLE_CHUNKS = {"cpu": 96, "gpu": 4_000}
_POINT_SECONDS, _QUICK_POINT_SECONDS = 6.0, 3.0


@dataclass(frozen=True, slots=True)
class Bench:
    """The checked options of a benchmark; no model is loaded yet."""

    selection: TableSelection
    """Table that `index` would write: its model and chunking rules."""
    options: EngineOptions
    context: LoadContext
    device: str
    machine: str
    files: tuple[SourceFile, ...]
    """Files in random order; empty for synthetic ids."""
    chunks: int
    """Size of the sample."""
    seconds: float
    """Duration of the measurement of one point."""

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
        """Select the model, the device and the files.

        Raises:
            UsageError: there is nothing to measure with, or the device is not available.
        """
        settings = workspace.settings.settings
        device = choose_device(settings.device)
        layout = workspace.layout
        selection = select_table(workspace.settings, read_head(layout), layout)
        kind = "cpu" if device == "cpu" else "gpu"
        files = () if synthetic else tuple(_files(workspace, paths, settings.max_file_size))
        return cls(
            selection=selection,
            options=engine_options(settings),
            context=replace(load_context(selection.usable_model().space_id), on_notice=on_notice),
            device=device,
            machine=device_name(device),
            files=files,
            chunks=chunks or (_QUICK_SAMPLE_CHUNKS if quick else _SAMPLE_CHUNKS)[kind],
            seconds=_QUICK_POINT_SECONDS if quick else _POINT_SECONDS,
        )

    @property
    def model(self) -> LocatedModel:
        """Model that is measured."""
        return self.selection.usable_model()

    @property
    def sample_name(self) -> str:
        """Name of the sample."""
        return "your files" if self.files else "made-up words"

    def sweep(self, axes: sweep.Axes) -> Iterator[measure.Point]:
        """Yield a point for each combination."""
        sweep.check(axes, self.options, self.model.spec.max_tokens)
        return sweep.sweep(
            self.model, self._sample(), axes, self.options, self.context, self.seconds
        )

    def save(self, points: Sequence[measure.Point]) -> measure.Point:
        """Keep the best for `index`."""
        return sweep.save(self.model, points, self.context)

    def largest_batch(self) -> int:
        """Return the largest batch that fits on the device."""
        embedder = sweep.load(self.model, self.options, self.context)
        texts = self._sample().with_length(min(128, self.model.spec.max_tokens - 2))
        return measure.largest_batch(embedder, texts, embedder.use.batch_tokens)

    def matmul_rate(self, point: measure.Point) -> float:
        """Return the matrix multiplication rate for a point, in operations per second."""
        return matmul_rate(point.device, point.precision, point.threads)

    def stages(self) -> list[stages.StageRate]:
        """Measure each stage alone."""
        embedder = sweep.load(self.model, self.options, self.context)
        return stages.measure_stages(
            self.files, self._chunker(), embedder, embed_chunks=self.chunks
        )

    def _chunker(self) -> Chunker:
        spec = self.model.spec
        tokenizer = load_tokenizer(spec, self.model.folder)
        return Chunker(tokenizer, clean.clean, self.selection.rules, spec.document_prompt)

    def _sample(self) -> sample.Sample:
        if self.files:
            return sample.from_files(self.files, self._chunker(), self.chunks)
        tokenizer = load_tokenizer(self.model.spec, self.model.folder)
        length = min(128, self.model.spec.max_tokens) - tokenizer.special_tokens
        return sample.synthetic(self.chunks, length, tokenizer)


def _files(
    workspace: Workspace, paths: Sequence[str | os.PathLike[str]], max_file_size: int
) -> list[SourceFile]:
    """Return the files below `paths`, else below the workspace's roots."""
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
