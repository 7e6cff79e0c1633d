"""The local embedder: ids with special tokens, in batches that an engine computes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from localembed.embedding.engines.base import Engine
from localembed.embedding.engines.batching import make_batches, padded_lengths, split_evenly
from localembed.errors import ModelChangedError
from localembed.types.models import (
    NO_PROGRESS,
    Embeddings,
    EngineUse,
    ModelInput,
    ModelSpec,
    Progress,
    share_known,
)

if TYPE_CHECKING:
    from localembed.embedding.engines.batching import Lengths
    from localembed.embedding.tokenizers.fast import FastTokenizer
    from localembed.types.arrays import IntArray, Vector, VectorMatrix

_NOT_FINITE = "the model returned a vector that is not finite"


@dataclass(frozen=True, slots=True)
class SpecialTokens:
    """The ids that a model needs before and after every text."""

    before: IntArray
    after: IntArray

    @property
    def size(self) -> int:
        """Special tokens per text."""
        return len(self.before) + len(self.after)

    def around(self, ids: IntArray) -> IntArray:
        """Return the ids of a text with its special tokens."""
        return np.concatenate((self.before, ids, self.after))


class LocalEmbedder:
    """A model on this machine; it takes token ids, so that no text is tokenised twice."""

    def __init__(
        self,
        spec: ModelSpec,
        tokenizer: FastTokenizer,
        special_tokens: SpecialTokens,
        engine: Engine,
        budget: int,
        on_smaller: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Combine the loaded parts.

        Args:
            spec: the model's block in models.toml.
            tokenizer: the model's tokenizer, for queries.
            special_tokens: the ids around every text.
            engine: computes batches.
            budget: padded tokens of one batch.
            on_smaller: called with the new budget when memory ran out.
        """
        self.spec = spec
        self.engine = engine
        self._tokenizer = tokenizer
        self._special_tokens = special_tokens
        self._budget = budget
        self._on_smaller = on_smaller
        self._tokens = self._padded = self._too_large = 0

    def with_budget(self, batch_tokens: int) -> LocalEmbedder:
        """Return the same model with another batch size."""
        return LocalEmbedder(
            self.spec, self._tokenizer, self._special_tokens, self.engine, batch_tokens
        )

    def batches(self, token_ids: Sequence[IntArray]) -> list[list[IntArray]]:
        """Return the batches that `embed_ids` would submit first, with special tokens."""
        batches = self._make_batches(self._widths(self._lengths(token_ids)))
        return [self._with_special_tokens(token_ids, batch) for batch in batches]

    @property
    def use(self) -> EngineUse:
        """The engine that embedded so far, and how full its batches were."""
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
        self, inputs: Sequence[ModelInput], /, progress: Progress = NO_PROGRESS
    ) -> Embeddings:
        """Return the vectors of texts from their ids (see `types.models.Embedder`)."""
        vectors, unfinished = self._embed([item.token_ids for item in inputs], progress)
        failed = set(np.flatnonzero(~np.isfinite(vectors).all(axis=1)).tolist()) - unfinished
        return Embeddings(vectors, dict.fromkeys(sorted(failed), _NOT_FINITE), unfinished)

    def embed_ids(self, token_ids: Sequence[IntArray], /) -> VectorMatrix:
        """Return (n, dim) float32, row i for item i; a row that is not finite has failed.

        Args:
            token_ids: ids of each item with its document prompt, without special tokens.
        """
        return self._embed(token_ids, NO_PROGRESS)[0]

    def _embed(
        self, token_ids: Sequence[IntArray], progress: Progress
    ) -> tuple[VectorMatrix, frozenset[int]]:
        """Return the vectors, and the rows that were not begun."""
        vectors = np.full((len(token_ids), self.spec.dim), np.nan, np.float32)
        rows: list[Lengths] = []
        handles: list[Any] = []
        lengths = self._lengths(token_ids)
        widths = self._widths(lengths)
        waiting = deque(self._make_batches(widths))
        while waiting and not progress.is_over():
            batch = waiting.popleft()
            handle = self._submit(self._with_special_tokens(token_ids, batch))
            if handle is not None:
                rows.append(batch)
                handles.append(handle)
                self._tokens += int(lengths[batch].sum())
                self._padded += self._padded_tokens(widths[batch])
            elif len(batch) > 1:
                self._halve_budget(self._padded_tokens(widths[batch]))
                rest = np.concatenate([batch, *waiting])
                waiting = deque(rest[part] for part in self._make_batches(widths[rest]))
                continue
            else:
                self._too_large += 1
            progress.begun(len(batch))
        if rows:
            vectors[np.concatenate(rows)] = self._truncate(self.engine.collect(handles))
        return vectors, frozenset(row for batch in waiting for row in batch.tolist())

    def embed_query(self, text: str, /) -> Vector:
        """Return (dim,) float32; of a query longer than the model, the mean of its pieces."""
        rows = [self._special_tokens.around(piece) for piece in self._pieces(text)]
        try:
            vectors = self.engine.collect([self.engine.submit(rows)])
        except IndexError as error:
            raise self._foreign_ids() from error
        mean: Vector = self._truncate(vectors).mean(axis=0)
        if len(rows) > 1 and self.spec.normalize:
            mean /= max(float(np.linalg.norm(mean)), 1e-12)
        return mean

    def count_pieces(self, text: str, /) -> int:
        """Return in how many pieces a query is embedded; 1 if it fits the model."""
        return len(self._pieces(text))

    def readable(self, text: str, /) -> float:
        """Return the share of a query's tokens that the model knows, 0 to 1."""
        return share_known(self._tokenizer([text])[0].ids, self._tokenizer.unknown_id)

    def _pieces(self, text: str) -> list[IntArray]:
        """Return a query's token ids in pieces that fit the model, each behind the prompt."""
        prompt, whole = self._tokenizer([self.spec.query_prompt, self.spec.query_prompt + text])
        room = self.spec.max_tokens - self._special_tokens.size
        return split_evenly(whole.ids, room, prompt.ids)

    def close(self) -> None:
        """Do nothing: memory is freed with the object."""

    def _truncate(self, vectors: VectorMatrix) -> VectorMatrix:
        """Return the first dimensions of vectors whose model was trained for that (Matryoshka)."""
        if not self.spec.whole_dim:
            return vectors
        short = vectors[:, : self.spec.dim]
        if self.spec.normalize:
            norms = np.linalg.norm(short, axis=1, keepdims=True)
            short = short / np.maximum(norms, np.finfo(np.float32).tiny)
        return short

    def _submit(self, items: Sequence[IntArray]) -> Any | None:  # noqa: ANN401 - the engine's
        """Submit a batch; return None if it does not fit into memory.

        The caller retries only after this has returned: until then the exception holds the stack
        frames, and with them the memory, of the failed attempt.
        """
        try:
            return self.engine.submit(items)
        except IndexError as error:
            raise self._foreign_ids() from error
        except Exception as error:
            if not self.engine.is_out_of_memory(error):
                raise
        self.engine.free()
        return None

    def _foreign_ids(self) -> ModelChangedError:
        message = (
            f"The tokenizer of model '{self.spec.name}' has tokens that its weights lack. Put the "
            "published files back."
        )
        return ModelChangedError(message)

    def _halve_budget(self, padded_tokens: int) -> None:
        self._budget = max(1, min(self._budget, padded_tokens) // 2)
        self._on_smaller(self._budget)

    def _lengths(self, token_ids: Sequence[IntArray]) -> Lengths:
        """Return the tokens of each text, special tokens included."""
        return np.array([len(ids) for ids in token_ids], np.int64) + self._special_tokens.size

    def _widths(self, lengths: Lengths) -> Lengths:
        """Return the padded tokens of texts in batches of their lengths."""
        return padded_lengths(lengths, self.engine.pads_to or 1, self.spec.max_tokens)

    def _make_batches(self, widths: Lengths) -> list[Lengths]:
        """Return batches of indices into `widths`."""
        return make_batches(widths, self._budget, pads=self.engine.pads_to > 0)

    def _with_special_tokens(self, token_ids: Sequence[IntArray], batch: Lengths) -> list[IntArray]:
        """Return one batch's ids with special tokens, while a GPU computes the previous batch."""
        texts = [token_ids[index] for index in batch.tolist()]
        special = self._special_tokens
        return [special.around(ids) for ids in texts] if special.size else texts

    def _padded_tokens(self, widths: Lengths) -> int:
        """Return the tokens of a batch, padding included if the engine pads."""
        return int(widths.max() * len(widths) if self.engine.pads_to else widths.sum())
