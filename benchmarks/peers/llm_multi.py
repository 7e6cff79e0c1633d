"""`llm embed-multi` with llm-sentence-transformers: what the command does once it has the rows."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.peers.contract import WORD, model_facts

if TYPE_CHECKING:
    from benchmarks.peers.contract import Matrix, Task


class Contestant:
    """`Collection.embed_multi` into a database file, in the command's batches of 100."""

    def __init__(self, task: Task) -> None:
        """Register the folder as a model, as `llm sentence-transformers register` does."""
        os.environ["LLM_USER_PATH"] = str(task.scratch)
        name = str(task.model)
        (task.scratch / "sentence-transformers.json").write_text(json.dumps([{"name": name}]))
        import llm
        import sqlite_utils

        self._texts = task.texts
        self._model = llm.get_embedding_model(f"sentence-transformers/{name}")
        self._model.embed(WORD)
        self._database = sqlite_utils.Database(task.scratch / "embeddings.db")
        self._collection = llm.Collection("texts", self._database, model=self._model)

    def embed(self) -> None:
        """Embed and store."""
        entries = ((str(number), text) for number, text in enumerate(self._texts))
        self._collection.embed_multi(entries)

    def vectors(self) -> Matrix | None:
        """Read the stored vectors back."""
        import llm

        rows = {int(row["id"]): row["embedding"] for row in self._database["embeddings"].rows}
        return np.array([llm.decode(rows[number]) for number in range(len(self._texts))])

    def facts(self) -> dict[str, object]:
        """Return what the model really did."""
        return model_facts(self._model._model)
