"""sentence-transformers `encode`, with its defaults or with the settings that tuning found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.peers.contract import WORD, model_facts

if TYPE_CHECKING:
    from benchmarks.peers.contract import Matrix, Task


class Contestant:
    """One call of `encode`."""

    def __init__(self, task: Task) -> None:
        """Load the model, in the number type that tuning chose if it chose one."""
        from sentence_transformers import SentenceTransformer

        self._texts = list(task.texts)
        self._settings = dict(task.settings)
        dtype = self._settings.get("dtype")
        self._model = SentenceTransformer(
            str(task.model), model_kwargs={"dtype": dtype} if dtype else None
        )
        self._batch = {k: v for k, v in self._settings.items() if k == "batch_size"}
        self._model.encode([WORD])
        self._vectors: Matrix | None = None

    def embed(self) -> None:
        """Embed; `encode` sorts by length itself."""
        self._vectors = self._model.encode(self._texts, **self._batch)

    def vectors(self) -> Matrix | None:
        """Return what was embedded."""
        return self._vectors

    def facts(self) -> dict[str, object]:
        """Return what the model really did, and with which settings."""
        return {**model_facts(self._model), "settings": self._settings or "defaults"}
