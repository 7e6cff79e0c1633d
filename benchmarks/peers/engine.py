"""This project's engine: the tokenizer and the embedder, as `localembed index` uses them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from benchmarks.peers.contract import WORD

if TYPE_CHECKING:
    from benchmarks.peers.contract import Matrix, Task

MODEL = "all-MiniLM-L6-v2"
_CHARS_A_TOKEN = 4


class Contestant:
    """Texts to ids to vectors, all in one call."""

    def __init__(self, task: Task) -> None:
        """Load tokenizer and model; converting it for OpenVINO counts to loading."""
        from localembed import models
        from localembed.embedding import EngineOptions, LoadContext, load_embedder, load_tokenizer
        from localembed.embedding.profiles import ProfileStore

        model = models.open_model(MODEL)
        self._texts = task.texts
        self._tokenizer = load_tokenizer(model.spec, model.folder)
        job = sum(len(text) for text in task.texts) // _CHARS_A_TOKEN
        options = EngineOptions(
            engine=task.settings["engine"], precision=task.settings.get("precision", "auto")
        )
        context = LoadContext(model.space_id, ProfileStore(), job_tokens=job)
        self._folder = model.folder
        self._embedder = load_embedder(model.spec, model.folder, options, context=context)
        self._embed([WORD])
        self._vectors: Matrix | None = None

    def embed(self) -> None:
        """Tokenize and embed."""
        begin, before = time.perf_counter(), self._embedder.use.tokens
        self._vectors = self._embed(self._texts)
        tokens = self._embedder.use.tokens - before
        self._mean = tokens / len(self._texts)
        self._rate = tokens / (time.perf_counter() - begin)

    def _embed(self, texts: Sequence[str]) -> Matrix:
        from localembed.types.models import ModelInput

        found = zip(texts, self._tokenizer(texts), strict=True)
        inputs = [ModelInput(text, tokens.ids) for text, tokens in found]
        return self._embedder.embed_documents(inputs).vectors

    def vectors(self) -> Matrix | None:
        """Return what was embedded."""
        return self._vectors

    def facts(self) -> dict[str, object]:
        """Return the limit that the spec sets, and what it chose to compute with."""
        from localembed.embedding import cores, read_shape
        from localembed.embedding.engines.matmul import matmul_rate

        use = self._embedder.use
        flops = self._rate * read_shape(self._folder).flops_per_token(self._mean)
        most = matmul_rate(use.device, use.precision, cores())
        return {
            "max_seq_length": self._embedder.spec.max_tokens,
            **asdict(use),
            "tflops": round(flops / 1e12, 3),
            "matmul_tflops": round(most / 1e12, 3),
            "share_of_matmul": round(flops / most, 3),
        }
