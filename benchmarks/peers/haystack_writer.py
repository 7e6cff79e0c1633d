"""Haystack: the document embedder and the document store in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmarks.peers.contract import WORD, model_facts

if TYPE_CHECKING:
    from benchmarks.peers.contract import Matrix, Task


class Contestant:
    """The two components that an indexing pipeline ends with."""

    def __init__(self, task: Task) -> None:
        """Load the model."""
        from haystack import Document
        from haystack.document_stores.in_memory import InMemoryDocumentStore
        from haystack_integrations.components.embedders.sentence_transformers import (
            SentenceTransformersDocumentEmbedder,
        )

        self._embedder = SentenceTransformersDocumentEmbedder(model=str(task.model))
        self._embedder.warm_up()
        self._embedder.run([Document(content=WORD)])
        self._store = InMemoryDocumentStore()
        self._documents = [
            Document(content=text, id=str(number)) for number, text in enumerate(task.texts)
        ]

    def embed(self) -> None:
        """Embed and store."""
        self._store.write_documents(self._embedder.run(self._documents)["documents"])

    def vectors(self) -> Matrix | None:
        """Read the stored vectors back."""
        rows = {document.id: document.embedding for document in self._store.filter_documents()}
        return np.array([rows[document.id] for document in self._documents], np.float32)

    def facts(self) -> dict[str, object]:
        """Return what the model really did."""
        return model_facts(self._embedder.embedding_backend.model)
