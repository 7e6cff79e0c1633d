"""chromadb: a collection on disk with its sentence-transformers embedding function."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmarks.peers.contract import WORD, model_facts

if TYPE_CHECKING:
    from benchmarks.peers.contract import Matrix, Task


class Contestant:
    """`collection.add`, in the largest batches that the client takes."""

    def __init__(self, task: Task) -> None:
        """Load the model and make the collection."""
        import chromadb
        from chromadb.utils.embedding_functions import SentenceTransformerEmbeddingFunction

        self._texts = list(task.texts)
        self._ids = [str(number) for number in range(len(self._texts))]
        self._function = SentenceTransformerEmbeddingFunction(model_name=str(task.model))
        self._function([WORD])
        self._client = chromadb.PersistentClient(str(task.scratch / "chroma"))
        self._collection = self._client.create_collection(
            "texts", embedding_function=self._function
        )

    def embed(self) -> None:
        """Embed and store."""
        most = self._client.get_max_batch_size()
        for start in range(0, len(self._ids), most):
            part = slice(start, start + most)
            self._collection.add(ids=self._ids[part], documents=self._texts[part])

    def vectors(self) -> Matrix | None:
        """Read the stored vectors back, which come in an order of their own."""
        found = self._collection.get(include=["embeddings"])
        rows = dict(zip(found["ids"], found["embeddings"], strict=True))
        return np.array([rows[name] for name in self._ids], np.float32)

    def facts(self) -> dict[str, object]:
        """Return what the model really did."""
        return model_facts(self._function._model)
