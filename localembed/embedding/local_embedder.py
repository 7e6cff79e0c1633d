"""The local embedder: ids framed, batched, computed by an engine, smaller batches where needed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from localembed.embedding.engines.base import Engine
from localembed.embedding.engines.batching import make_batches, padded_lengths, split_evenly
from localembed.types.models import Embeddings, EngineUse, ModelInput, ModelSpec

if TYPE_CHECKING:
    from localembed.embedding.engines.batching import Lengths
    from localembed.embedding.tokenizers.fast import FastTokenizer
    from localembed.types.arrays import IntArray, Vector, VectorMatrix

_NOT_FINITE = "the model gave a vector that is not finite"


@dataclass(frozen=True, slots=True)
class SpecialTokens:
    """The model's special ids around a text."""

    before: IntArray
    after: IntArray

    @property
    def size(self) -> int:
        """How many there are."""
        return len(self.before) + len(self.after)

    def around(self, ids: IntArray) -> IntArray:
        """Return the ids of a text as the model wants them."""
        return np.concatenate((self.before, ids, self.after))


class LocalEmbedder:
    """A model on this machine, fed with ids so that nothing is tokenised twice."""

    def __init__(
        self,
        spec: ModelSpec,
        tokenizer: FastTokenizer,
        frame: SpecialTokens,
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
        parts = self._parts(self._widths(self._lengths(token_ids)))
        return [self._framed(token_ids, part) for part in parts]

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
        """Return the vectors of texts, by their ids (see `types.models.Embedder`)."""
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
        vectors = np.full((len(token_ids), self.spec.dim), np.nan, np.float32)
        rows: list[Lengths] = []
        handles: list[Any] = []
        lengths = self._lengths(token_ids)
        widths = self._widths(lengths)
        waiting = deque(self._parts(widths))
        while waiting:
            batch = waiting.popleft()
            handle = self._begin(self._framed(token_ids, batch))
            if handle is not None:
                rows.append(batch)
                handles.append(handle)
                self._tokens += int(lengths[batch].sum())
                self._padded += self._room(widths[batch])
            elif len(batch) > 1:
                self._halve(self._room(widths[batch]))
                left = np.concatenate([batch, *waiting])
                waiting = deque(left[part] for part in self._parts(widths[left]))
                continue
            else:
                self._too_large += 1
            on_batch(len(batch))
        if rows:
            vectors[np.concatenate(rows)] = self._cut(self.engine.collect(handles))
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

    def _lengths(self, token_ids: Sequence[IntArray]) -> Lengths:
        """Return the tokens of each framed text."""
        return np.array([len(ids) for ids in token_ids], np.int64) + self._frame.size

    def _widths(self, lengths: Lengths) -> Lengths:
        """Return the room that framed texts take in batches of their lengths."""
        return padded_lengths(lengths, self.engine.pads_to or 1, self.spec.max_tokens)

    def _parts(self, widths: Lengths) -> list[Lengths]:
        """Return batches, as places in `widths`."""
        return make_batches(widths, self._budget, pads=self.engine.pads_to > 0)

    def _framed(self, token_ids: Sequence[IntArray], batch: Lengths) -> list[IntArray]:
        """Return one batch's framed texts; of each batch in turn, while a GPU computes the last."""
        texts = [token_ids[place] for place in batch.tolist()]
        return [self._frame.around(ids) for ids in texts] if self._frame.size else texts

    def _room(self, widths: Lengths) -> int:
        """Return the tokens that a batch takes, padding included where the engine pads."""
        return int(widths.max() * len(widths) if self.engine.pads_to else widths.sum())
