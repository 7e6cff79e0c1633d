"""A deterministic backend: vectors depend on the words of a text, so that ranking can be asserted.

It is registered like any other backend, so all the code around a model is the real one.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import MutableSequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from localembed.embedding import BACKENDS
from localembed.embedding.local_backend import LocalBackend
from localembed.types.models import (
    NO_PROGRESS,
    Embeddings,
    EngineUse,
    ModelSpec,
    Tokens,
    share_known,
)
from tests.registry import write_registry

DIM = 32
_WORD = re.compile(r"\w+|[^\w\s]")
_DIRECTIONS = np.random.default_rng(7).standard_normal((4096, DIM)).astype(np.float32)


class FakeTokenizer:
    """Words and punctuation, one token each."""

    word_local = True
    special_tokens = 2
    unknown_id = zlib.crc32(b"unreadable") & 0xFFFFF

    def __call__(self, texts):
        return [_tokens(text) for text in texts]


def _tokens(text: str) -> Tokens:
    matches = list(_WORD.finditer(text))
    ids = [zlib.crc32(match[0].lower().encode()) & 0xFFFFF for match in matches]
    return Tokens(
        ids=np.array(ids, np.int32),
        starts=np.array([match.start() for match in matches], np.int32),
        ends=np.array([match.end() for match in matches], np.int32),
        words=np.arange(len(matches), dtype=np.int32),
    )


class FakeEmbedder:
    """The mean direction of a text's words; every item it was given is remembered."""

    embedded: ClassVar[MutableSequence[int]] = []
    """Tokens of every item, over all instances of this process."""
    broken: ClassVar[set[int]] = set()
    """Ids of words that turn a vector into NaN."""
    batch_size: ClassVar[int] = 1000
    """Chunks per forward batch."""

    @staticmethod
    def wait(chunks):
        """Take the time that a forward batch takes: none."""

    def __init__(self, spec) -> None:
        self.spec = spec

    @property
    def use(self):
        tokens = sum(self.embedded)
        return EngineUse("fake", "cpu", "fp32", 0, tokens, tokens, 0)

    def embed_documents(self, inputs, progress=NO_PROGRESS):
        vectors = np.full((len(inputs), DIM), np.nan, np.float32)
        done = 0
        while done < len(inputs) and not progress.is_over():
            batch = inputs[done : done + self.batch_size]
            self.wait(len(batch))
            vectors[done : done + len(batch)] = [self._vector(item.token_ids) for item in batch]
            type(self).embedded += [len(item.token_ids) for item in batch]
            progress.begun(len(batch))
            done += len(batch)
        failed = np.flatnonzero(np.isnan(vectors[:done]).any(axis=1)).tolist()
        return Embeddings(
            vectors,
            dict.fromkeys(failed, "the model gave a vector that is not finite"),
            frozenset(range(done, len(inputs))),
        )

    def embed_query(self, text):
        return self._vector(_tokens(text).ids)

    def count_pieces(self, text):
        return -(-len(_tokens(text).ids) // (self.spec.max_tokens - 2))

    def readable(self, text):
        return share_known(_tokens(text).ids, FakeTokenizer.unknown_id)

    def close(self):
        """Hold nothing."""

    def _vector(self, ids):
        if self.broken & set(map(int, ids)):
            return np.full(DIM, np.nan, np.float32)
        total = _DIRECTIONS[np.asarray(ids) % len(_DIRECTIONS)].sum(axis=0)
        return total / max(float(np.linalg.norm(total)), 1e-6)


class FakeBackend(LocalBackend):
    """The backend of the fake model."""

    def load_tokenizer(self, _folder):
        return FakeTokenizer()

    def load(self, *_how):
        return FakeEmbedder(self.spec)

    load_for_queries = load


def register(config_home: Path) -> None:
    """Make the model "fake" known to this process."""
    BACKENDS["fake"] = "tests.fake_backend:FakeBackend"
    weights = config_home / "fake-model"
    weights.mkdir(parents=True, exist_ok=True)
    if not (weights / "config.json").exists():  # another process may be reading it
        (weights / "config.json").write_text("{}")
    spec = ModelSpec(
        name="fake", backend="fake", sources=(f"path:{weights}",), dim=DIM, max_tokens=66,
        pooling="mean", normalize=True, license="none",
    )  # fmt: skip
    other = replace(spec, name="other", pooling="cls")
    write_registry(config_home, [spec, other, replace(spec, name="fake-256", max_tokens=256)])
