"""LlamaIndex: an ingestion pipeline whose only step is the embedding, with its cache as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmarks.peers.contract import WORD, model_facts

if TYPE_CHECKING:
    from benchmarks.peers.contract import Matrix, Task


class Contestant:
    """`IngestionPipeline.run` over nodes, in its own batches of 10."""

    def __init__(self, task: Task) -> None:
        """Load the model."""
        from llama_index.core.ingestion import IngestionPipeline
        from llama_index.core.schema import TextNode
        from llama_index.embeddings.huggingface import HuggingFaceEmbedding

        self._model = HuggingFaceEmbedding(
            model_name=str(task.model), cache_folder=str(task.scratch)
        )
        self._model.get_text_embedding(WORD)
        self._pipeline = IngestionPipeline(transformations=[self._model])
        self._nodes = [
            TextNode(text=text, id_=str(number)) for number, text in enumerate(task.texts)
        ]
        self._rows: dict[str, list[float]] = {}

    def embed(self) -> None:
        """Embed."""
        done = self._pipeline.run(nodes=self._nodes)
        self._rows = {node.node_id: node.embedding for node in done}

    def vectors(self) -> Matrix | None:
        """Return the vectors of the nodes."""
        rows = [self._rows[str(number)] for number in range(len(self._nodes))]
        return np.array(rows, np.float32)

    def facts(self) -> dict[str, object]:
        """Return what the model really did."""
        return {**model_facts(self._model._model), "batch_size": self._model.embed_batch_size}
