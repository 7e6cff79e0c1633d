"""Real chunks from a folder of real text, cut by this project's own chunker."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.peers.engine import MODEL

if TYPE_CHECKING:
    from localembed.chunking.chunker import Chunker

SEED = 1
MAX_TOKENS, OVERLAP = 254, 32
"""As `localembed index` cuts for this model: 256 less the two special tokens."""


@dataclass(frozen=True, slots=True)
class Corpus:
    """Texts that differ from each other, so that nobody can save work on a repeated one."""

    name: str
    texts: Sequence[str]
    model: Path
    files: int
    size: int
    """Bytes of those files."""
    tokens: Sequence[int]
    """Of each text, special tokens not counted."""

    def describe(self) -> dict[str, object]:
        """Return what has to stand beside a number; no path of this machine."""
        joined = "\n".join(json.dumps(text) for text in self.texts).encode()
        return {
            "name": self.name,
            "files": self.files,
            "bytes": self.size,
            "chunks": len(self.texts),
            "mean_tokens": round(sum(self.tokens) / len(self.tokens), 1),
            "longest_tokens": max(self.tokens),
            "seed": SEED,
            "sha256": hashlib.sha256(joined).hexdigest(),
        }


def take(folder: Path, name: str, chunks: int, suffix: str) -> Corpus:
    """Chunk every file with this suffix and draw chunks from all of them.

    Raises:
        SystemExit: the folder does not hold so many.
    """
    from localembed import models
    from localembed.chunking import clean
    from localembed.chunking.chunker import Chunker
    from localembed.chunking.rules import ChunkRules
    from localembed.embedding import load_tokenizer

    model = models.open_model(MODEL)
    rules = ChunkRules(MAX_TOKENS, OVERLAP)
    chunker = Chunker(load_tokenizer(model.spec, model.folder), clean.clean, rules)
    found: dict[str, tuple[int, Path]] = {}
    for path in sorted(folder.rglob(f"*{suffix}")):
        if path.is_file() and not path.is_symlink():
            for text, tokens in _chunks(path, chunker):
                found.setdefault(text, (tokens, path))
    if len(found) < chunks:
        message = f"{name} gives {len(found)} chunks, {chunks} are asked for"
        raise SystemExit(message)
    drawn = sorted(random.Random(SEED).sample(range(len(found)), chunks))
    rows = list(found.items())
    picked = [rows[index] for index in drawn]
    paths = {path for _, (_, path) in picked}
    return Corpus(
        name,
        [text for text, _ in picked],
        model.folder,
        len(paths),
        sum(path.stat().st_size for path in paths),
        [tokens for _, (tokens, _) in picked],
    )


def _chunks(path: Path, chunker: Chunker) -> Iterator[tuple[str, int]]:
    """Yield what the model sees of each chunk, and its tokens."""
    from localembed.readers import DecodedText, code_language, document_kind, read_text
    from localembed.types.documents import Document

    read = read_text(path.read_bytes())
    if isinstance(read, DecodedText):
        name = path.name.encode()
        kind, language = document_kind(name), code_language(name)
        document = Document(b"d" * 16, "r", name, read.text, b"", kind, 0, language=language)
        for chunk in chunker([document])[0].chunks:
            yield chunker.clean(chunk.text), len(chunk.token_ids)


def write(corpus: Corpus, path: Path) -> None:
    """Write one JSON object a line."""
    lines = (json.dumps({"id": number, "text": text}) for number, text in enumerate(corpus.texts))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
