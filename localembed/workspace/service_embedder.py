"""An embedder for small refreshes, which another process embeds if it holds the model already.

Loading a model takes seconds, embedding the few chunks of a refresh does not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from localembed.embedding import EngineOptions, backend_of
from localembed.models import LocatedModel
from localembed.store.layout import Layout
from localembed.types.models import (
    NO_PROGRESS,
    Embedder,
    Embeddings,
    EmbeddingService,
    EmbedReply,
    EmbedRequest,
    EngineUse,
    ModelInput,
    Progress,
)

if TYPE_CHECKING:
    from localembed.types.arrays import Vector


def service_embedder(
    service: EmbeddingService,
    layout: Layout,
    model: LocatedModel,
    options: EngineOptions,
    load: Callable[[], Embedder],
    max_tokens: int,
) -> Embedder | None:
    """Return an embedder that uses another process; None if the user chose another engine.

    Its vectors come from the engine for queries, on the CPU and usually in fp32. That is what
    `auto` and `fp32` allow; a device, an engine or bf16 that was requested is never replaced.

    Args:
        service: process that may hold the model.
        layout: the workspace.
        model: the model of the run.
        options: the user's choice of engine and device.
        load: loads the model here.
        max_tokens: maximum tokens that the process embeds.
    """
    free = options.engine == "auto" and options.device in ("auto", "cpu")
    is_local = backend_of(model.spec).provider is None
    if not (free and is_local and options.precision in ("auto", "fp32")):
        return None
    return _ServiceEmbedder(service, layout, model, options, load, max_tokens)


class _ServiceEmbedder:
    """Embeds few texts in another process, and all others with the model loaded here."""

    def __init__(
        self,
        service: EmbeddingService,
        layout: Layout,
        model: LocatedModel,
        options: EngineOptions,
        load: Callable[[], Embedder],
        max_tokens: int,
    ) -> None:
        self.spec = model.spec
        self._service = service
        self._layout = layout
        self._model = model
        self._options = options
        self._load = load
        self._left = max_tokens
        self._own: Embedder | None = None
        self._use = EngineUse("none", "cpu", options.precision, 0, 0, 0, 0)

    @property
    def use(self) -> EngineUse:
        """The engine that embedded last."""
        return self._own.use if self._own is not None else self._use

    def embed_documents(
        self, inputs: Sequence[ModelInput], /, progress: Progress = NO_PROGRESS
    ) -> Embeddings:
        """Return the vectors of texts (see `types.models.Embedder`)."""
        tokens = sum(len(item.token_ids) for item in inputs)
        if self._own is None and tokens <= self._left:
            made = self._service.embed(self._request(inputs))
            if made is not None and self._is_usable(made, len(inputs)):
                self._left -= tokens
                total = self._use.tokens + tokens
                self._use = EngineUse(made.engine, made.device, made.precision, 0, total, total, 0)
                progress.begun(len(inputs))
                return Embeddings(made.vectors, {})
        return self._loaded().embed_documents(inputs, progress)

    def embed_query(self, text: str, /) -> Vector:
        """Return the vector of a query."""
        return self._loaded().embed_query(text)

    def count_pieces(self, text: str, /) -> int:
        """Return the number of parts in which a query is embedded."""
        return self._loaded().count_pieces(text)

    def readable(self, text: str, /) -> float:
        """Return the share of a query's tokens that the model knows, 0 to 1."""
        return self._loaded().readable(text)

    def close(self) -> None:
        """Close the model if it was loaded here."""
        if self._own is not None:
            self._own.close()

    def _loaded(self) -> Embedder:
        """Return the model, from now on loaded here."""
        self._own = self._own or self._load()
        return self._own

    def _request(self, inputs: Sequence[ModelInput]) -> EmbedRequest:
        options = self._options
        variables = {
            "LOCALEMBED_DEVICE": options.device,
            "LOCALEMBED_PRECISION": options.precision,
            "LOCALEMBED_ENGINE": options.engine,
        }
        return EmbedRequest(
            workspace=self._layout.folder,
            model=self.spec.name,
            dim=self.spec.dim,
            space_id=self._model.space_id,
            variables=variables,
            token_ids=tuple(item.token_ids for item in inputs),
        )

    def _is_usable(self, made: EmbedReply, count: int) -> bool:
        """Tell whether vectors are in the precision that the run allows."""
        allowed = self._options.precision in ("auto", made.precision)
        return allowed and made.device == "cpu" and made.vectors.shape == (count, self.spec.dim)
