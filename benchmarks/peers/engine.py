"""This project's engine: the tokenizer and the embedder, as `localembed index` uses them."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from benchmarks.peers.contract import WORD

if TYPE_CHECKING:
    from benchmarks.peers.contract import Matrix, Task

MODEL = "all-MiniLM-L6-v2"
_CHARS_A_TOKEN = 4


class Contestant:
    """Texts to ids to vectors, all in one call."""

    engine = "torch"

    def __init__(self, task: Task) -> None:
        """Load tokenizer and model; converting it for OpenVINO counts to loading."""
        from localembed import catalog
        from localembed.embedding import EngineOptions, load_embedder, load_tokenizer
        from localembed.profiles import ProfileBook

        model = catalog.open_model(MODEL)
        self._texts = task.texts
        self._tokenizer = load_tokenizer(model.spec, model.folder)
        job = sum(len(text) for text in task.texts) // _CHARS_A_TOKEN
        options = EngineOptions(
            engine=self.engine, job_tokens=job, model_id=model.space_id, memory=ProfileBook()
        )
        self._embedder = load_embedder(model.spec, model.folder, options)
        self._embedder.embed_ids([self._tokenizer([WORD])[0].ids], _ignore)
        self._vectors: Matrix | None = None

    def embed(self) -> None:
        """Tokenize and embed."""
        ids = [tokens.ids for tokens in self._tokenizer(self._texts)]
        self._vectors = self._embedder.embed_ids(ids, _ignore)

    def vectors(self) -> Matrix | None:
        """Return what was embedded."""
        return self._vectors

    def facts(self) -> dict[str, object]:
        """Return the limit that the spec sets, and what it chose to compute with."""
        return {
            "max_seq_length": self._embedder.spec.max_tokens,
            **asdict(self._embedder.use),
        }


def _ignore(_begun: int) -> None:
    """Progress is not shown."""
