"""LangChain's index API: records that remember what was added, in front of a vector store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmarks.peers.contract import WORD, model_facts

if TYPE_CHECKING:
    from benchmarks.peers.contract import Matrix, Task


class Contestant:
    """`index` with records and vectors in memory, in its own batches of 100."""

    def __init__(self, task: Task) -> None:
        """Load the model and make the stores."""
        from langchain_core.documents import Document
        from langchain_core.indexing import InMemoryRecordManager
        from langchain_core.vectorstores import InMemoryVectorStore
        from langchain_huggingface import HuggingFaceEmbeddings

        self._embeddings = HuggingFaceEmbeddings(model_name=str(task.model))
        self._embeddings.embed_documents([WORD])
        self._store = InMemoryVectorStore(self._embeddings)
        self._records = InMemoryRecordManager(namespace="texts")
        self._records.create_schema()
        self._documents = [
            Document(page_content=text, metadata={"number": number})
            for number, text in enumerate(task.texts)
        ]

    def embed(self) -> None:
        """Embed and store."""
        from langchain_core.indexing import index

        index(self._documents, self._records, self._store)

    def vectors(self) -> Matrix | None:
        """Read the stored vectors back."""
        rows = {row["metadata"]["number"]: row["vector"] for row in self._store.store.values()}
        return np.array([rows[number] for number in range(len(self._documents))], np.float32)

    def facts(self) -> dict[str, object]:
        """Return what the model really did."""
        return model_facts(self._embeddings._client)
