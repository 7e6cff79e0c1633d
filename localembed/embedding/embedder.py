"""The local embedder: ids framed, batched, computed by an engine, smaller batches where needed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from localembed.embedding.batching import cut_batches, padded_length, split_evenly
from localembed.embedding.engine import Engine
from localembed.modelspec import ModelSpec
from localembed.types import Embeddings, EngineUse, ModelInput

if TYPE_CHECKING:
    from localembed.embedding.tokenizer import FastTokenizer
    from localembed.types import IntArray, Vector, VectorMatrix

_NOT_FINITE = "the model gave a vector that is not finite"


@dataclass(frozen=True, slots=True)
class Frame:
    """The model's special ids around a text."""

    before: IntArray
    after: IntArray

    def around(self, ids: IntArray) -> IntArray:
        """Return the ids of a text as the model wants them."""
        if not len(self.before) and not len(self.after):
            return ids
        return np.concatenate((self.before, ids, self.after))


class LocalEmbedder:
    """A model on this machine, fed with ids so that nothing is tokenised twice."""

    def __init__(
        self,
        spec: ModelSpec,
        tokenizer: FastTokenizer,
        frame: Frame,
        engine: Engine,
        budget: int,
        on_smaller: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Put together what was loaded.

        Args:
            spec: what the model is.
            tokenizer: of the model, for queries.
            frame: what stands around every text.
            engine: computes batches.
            budget: padded tokens of one batch.
            on_smaller: told of the new budget when memory ran out.
        """
        self.spec = spec
        self.engine = engine
        self._tokenizer = tokenizer
        self._frame = frame
        self._budget = budget
        self._on_smaller = on_smaller
        self._tokens = self._padded = self._too_large = 0

    def with_budget(self, batch_tokens: int) -> LocalEmbedder:
        """Return the same model with other batches."""
        return LocalEmbedder(self.spec, self._tokenizer, self._frame, self.engine, batch_tokens)

    def batches(self, token_ids: Sequence[IntArray]) -> list[list[IntArray]]:
        """Return the framed batches that `embed_ids` would begin with."""
        items = [self._frame.around(ids) for ids in token_ids]
        parts = cut_batches([self._width(len(item)) for item in items], self._budget)
        return [[items[index] for index in part] for part in parts]

    @property
    def use(self) -> EngineUse:
        """What embedded so far, and how full its batches were."""
        return EngineUse(
            engine=self.engine.name,
            device=self.engine.device,
            precision=self.engine.precision,
            batch_tokens=self._budget,
            tokens=self._tokens,
            padded_tokens=self._padded,
            too_large=self._too_large,
        )

    def embed_documents(
        self, inputs: Sequence[ModelInput], /, on_batch: Callable[[int], None] = lambda _: None
    ) -> Embeddings:
        """Return the vectors of texts, by their ids (see `types.Embedder`)."""
        vectors = self.embed_ids([item.token_ids for item in inputs], on_batch)
        failed = np.flatnonzero(~np.isfinite(vectors).all(axis=1)).tolist()
        return Embeddings(vectors, dict.fromkeys(failed, _NOT_FINITE))

    def embed_ids(
        self, token_ids: Sequence[IntArray], /, on_batch: Callable[[int], None] = lambda _: None
    ) -> VectorMatrix:
        """Return (n, dim) float32, row i for item i; a row that is not finite has failed.

        Args:
            token_ids: of each item with its document prompt, without special tokens.
            on_batch: told how many items were begun.
        """
        items = [self._frame.around(ids) for ids in token_ids]
        lengths = [len(item) for item in items]
        vectors = np.full((len(items), self.spec.dim), np.nan, np.float32)
        rows: list[int] = []
        handles: list[Any] = []
        widths = [self._width(length) for length in lengths]
        waiting = deque(cut_batches(widths, self._budget))
        while waiting:
            batch = waiting.popleft()
            handle = self._begin([items[index] for index in batch])
            if handle is not None:
                rows += batch
                handles.append(handle)
                self._tokens += sum(lengths[index] for index in batch)
                self._padded += self._room(batch, widths)
            elif len(batch) > 1:
                self._halve(self._room(batch, widths))
                left = [index for part in (batch, *waiting) for index in part]
                again = cut_batches([widths[index] for index in left], self._budget)
                waiting = deque([[left[place] for place in part] for part in again])
                continue
            else:
                self._too_large += 1
            on_batch(len(batch))
        if rows:
            vectors[rows] = self._cut(self.engine.collect(handles))
        return vectors

    def embed_query(
        self, text: str, /, on_pieces: Callable[[int], None] = lambda _: None
    ) -> Vector:
        """Return (dim,) float32; of a query longer than the model, the mean of its pieces."""
        prompt, whole = self._tokenizer([self.spec.query_prompt, self.spec.query_prompt + text])
        room = self.spec.max_tokens - len(self._frame.before) - len(self._frame.after)
        pieces = split_evenly(whole.ids, room, prompt.ids)
        on_pieces(len(pieces))
        rows = [self._frame.around(piece) for piece in pieces]
        mean: Vector = self._cut(self.engine.collect([self.engine.submit(rows)])).mean(axis=0)
        if len(rows) > 1 and self.spec.normalize:
            mean /= max(float(np.linalg.norm(mean)), 1e-12)
        return mean

    def close(self) -> None:
        """Do nothing: what is loaded is freed with the object."""

    def _cut(self, vectors: VectorMatrix) -> VectorMatrix:
        """Return the first numbers of vectors whose model was trained for that (Matryoshka)."""
        if not self.spec.whole_dim:
            return vectors
        short = vectors[:, : self.spec.dim]
        if self.spec.normalize:
            norms = np.linalg.norm(short, axis=1, keepdims=True)
            short = short / np.maximum(norms, np.finfo(np.float32).tiny)
        return short

    def _begin(self, items: Sequence[IntArray]) -> Any | None:  # noqa: ANN401 - the engine's handle
        """Begin a batch; None if it does not fit into memory.

        The caller tries again only after this has returned: until then the exception holds the
        frames, and with them the memory, of the attempt that failed.
        """
        try:
            return self.engine.submit(items)
        except Exception as error:
            if not self.engine.is_out_of_memory(error):
                raise
        self.engine.free()
        return None

    def _halve(self, room: int) -> None:
        self._budget = max(1, min(self._budget, room) // 2)
        self._on_smaller(self._budget)

    def _width(self, length: int) -> int:
        """Return the room that a framed text takes in a batch of its length."""
        return padded_length(length, self.engine.pads_to or 1, self.spec.max_tokens)

    def _room(self, batch: Sequence[int], widths: Sequence[int]) -> int:
        """Return the tokens that a batch takes, padding included where the engine pads."""
        of_batch = [widths[index] for index in batch]
        return max(of_batch) * len(batch) if self.engine.pads_to else sum(of_batch)
