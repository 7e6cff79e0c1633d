"""Token counts for a remote model, whose tokenizer may not be available."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import regex

from localembed.embedding.tokenizers.fast import FastTokenizer
from localembed.errors import ModelNotFoundError, OfflineError
from localembed.types.models import ModelSpec, Tokenizer, Tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

_SPACE, _LINES, _LATIN, _DIGITS, _LETTERS, _SIGNS, _MARKS = range(7)
_LONGEST = np.array([1 << 30, 1 << 30, 6, 3, 2, 1, 2])
"""Maximum characters of a piece by kind; a sign is a word or a syllable by itself."""
_ASCII = np.array(
    [
        _LINES if c == "\n"
        else _SPACE if c.isspace()
        else _LATIN if c.isalpha()
        else _DIGITS if c.isdigit()
        else _MARKS
        for c in map(chr, range(128))
    ],
    np.int8,
)  # fmt: skip
_RANGES = np.array(
    [0x80, 0xA1, 0xC0, 0xE00, 0xE80, 0x2000, 0x200B, 0x2C00, 0x3000, 0x3001, 0x3040, 0xA000,
     0xAC00, 0xD7B0, 0xF900, 0xFB00, 0xFF00, 0x10000],
)  # fmt: skip
_KINDS = np.array(
    [_SPACE, _MARKS, _LETTERS, _SIGNS, _LETTERS, _SPACE, _MARKS, _LETTERS, _SPACE, _MARKS, _SIGNS,
     _LETTERS, _SIGNS, _LETTERS, _SIGNS, _LETTERS, _MARKS, _SIGNS],
    np.int8,
)  # fmt: skip
"""Approximate kind of the characters from each code point of `_RANGES` on, by Unicode block."""
_WORDS = regex.compile(r"\S+")


def load_tokenizer(spec: ModelSpec, folder: Path) -> Tokenizer:
    """Return the tokenizer that counts the tokens of a remote model.

    Raises:
        ModelNotFoundError: the tokenizer that the spec names is not on this machine.
        ModelChangedError: its file is broken.
    """
    kind, _, rest = (spec.remote.tokenizer if spec.remote else "").partition(":")
    if kind == "tiktoken":
        return TiktokenTokenizer(rest)
    if kind == "path":
        return FastTokenizer(folder)
    return EstimatedTokenizer()


class EstimatedTokenizer:
    """Pieces about as long as tokens: slightly more than a byte-level BPE of 100,000 for prose.

    They serve to chunk and to stay below the provider's limits; the provider says what is billed.
    """

    word_local = True
    special_tokens = 0
    unknown_id = None

    def __call__(self, texts: Sequence[str], /) -> list[Tokens]:
        """Return the pieces of each text; their ids are meaningless."""
        return [_estimated(text) for text in texts]


class TiktokenTokenizer:
    """One of OpenAI's encodings, from tiktoken's copy on this machine."""

    word_local = False
    special_tokens = 0
    unknown_id = None

    def __init__(self, name: str) -> None:
        """Load an encoding.

        Raises:
            ModelNotFoundError: tiktoken is not installed, or has no copy of it.
        """
        try:
            import tiktoken

            self._encoding: Any = tiktoken.get_encoding(name)
        except (ImportError, ValueError, OSError, OfflineError) as error:
            message = (
                f"tiktoken has no encoding '{name}' on this machine ({type(error).__name__}). "
                "Fetch it once, with tiktoken itself and a network, or remove the key 'tokenizer' "
                "from the model's block in models.toml."
            )
            raise ModelNotFoundError(message) from error

    def __call__(self, texts: Sequence[str], /) -> list[Tokens]:
        """Return the tokens of each text; special tokens in it are treated as text."""
        return [self._tokens(text) for text in texts]

    def _tokens(self, text: str) -> Tokens:
        ids = self._encoding.encode_ordinary(text)
        starts = np.array(self._encoding.decode_with_offsets(ids)[1], np.int32)
        ends = np.append(starts[1:], np.int32(len(text))).astype(np.int32)
        # A token that is part of a character has the same offset as the next one.
        ends = np.maximum(ends, np.minimum(starts + 1, len(text))).astype(np.int32)
        return Tokens(np.array(ids, np.int32), starts, ends, _words_at(text, starts, ends))


def _estimated(text: str) -> Tokens:
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    if not len(points):
        nothing = np.zeros(0, np.int32)
        return Tokens(nothing, nothing, nothing, nothing)
    kinds = _ASCII[np.minimum(points, 127)]
    far = points >= 128
    if far.any():
        kinds = np.where(far, _KINDS[np.searchsorted(_RANGES, points, "right") - 1], kinds)
    places = np.arange(len(points), dtype=np.int32)
    fresh = np.append(True, kinds[1:] != kinds[:-1])
    within = places - np.maximum.accumulate(np.where(fresh, places, 0))
    begins = np.flatnonzero(fresh | (within % _LONGEST[kinds] == 0)).astype(np.int32)
    ends = np.append(begins[1:], np.int32(len(points))).astype(np.int32)
    seen = kinds[begins] != _SPACE
    blank = kinds <= _LINES
    words = np.cumsum(~blank & np.append(True, blank[:-1]), dtype=np.int32)
    starts = begins[seen]
    return Tokens(np.zeros(len(starts), np.int32), starts, ends[seen], words[starts])


def _words_at(text: str, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Return the number of the word that each token ends in, counted by white space."""
    begins = np.array([match.start() for match in _WORDS.finditer(text)], np.int32)
    last = np.maximum(ends - 1, starts)
    words: np.ndarray = np.searchsorted(begins, last, "right").astype(np.int32)
    return words
