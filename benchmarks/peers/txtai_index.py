"""txtai: `Embeddings` with nothing but the model's path, which runs the model by its own code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmarks.peers.contract import WORD

if TYPE_CHECKING:
    from benchmarks.peers.contract import Matrix, Task


class Contestant:
    """`Embeddings.index`."""

    def __init__(self, task: Task) -> None:
        """Load the model."""
        from txtai import Embeddings

        self._texts = list(task.texts)
        self._embeddings = Embeddings(path=str(task.model))
        self._embeddings.transform(WORD)

    def embed(self) -> None:
        """Embed and index."""
        self._embeddings.index(self._texts)

    def vectors(self) -> Matrix | None:
        """Read the vectors out of the faiss index; the one for many texts cannot give them."""
        import faiss

        index = self._embeddings.ann.backend
        try:
            rows = faiss.downcast_index(index.index).reconstruct_n(0, len(self._texts))
        except (AttributeError, RuntimeError):
            return None
        return np.asarray(rows, np.float32)

    def facts(self) -> dict[str, object]:
        """Return the limit it found: not that of sentence-transformers, whose code it avoids."""
        pooling = self._embeddings.model.model
        ids = pooling.tokenizer(
            ["word " * 1000], truncation="longest_first", max_length=pooling.maxlength
        )["input_ids"]
        return {
            "max_seq_length": pooling.maxlength,
            "longest_input": len(ids[0]),
            "dtype": str(pooling.model.dtype).removeprefix("torch."),
            "ann": self._embeddings.config["build"]["settings"],
        }
