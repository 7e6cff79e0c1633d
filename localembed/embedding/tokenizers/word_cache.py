"""A cache of the tokens of words: a WordPiece tokenizer handles one word at a time.

The tokenizer itself determines which characters separate words, are words by themselves or belong
to one, a page of 256 at a time, and it tokenises every word once. This module knows nothing of
Unicode or normalisation, so its results are the tokenizer's, unless two words have the same key
(see `word_table`). 7.3 million tokens of documentation took 1.9 s where the tokenizer took 9.6 s,
0.8 s once the words were known, and 0.5 s with several files tokenised together.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import accumulate, pairwise
from threading import Lock
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from localembed.embedding.tokenizers.word_table import LONGEST, WordTable, word_keys
from localembed.types.models import Tokens

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tokenizers import Tokenizer as RustTokenizer

    from localembed.embedding.tokenizers.word_table import KeyArray
    from localembed.types.arrays import IntArray

_UNKNOWN, _SPACE, _UNCLEAR, _LETTER, _MARK = range(5)
_LOCAL = {
    ("WordPiece", "BertNormalizer", "BertPreTokenizer", processor)
    for processor in ("NoneType", "TemplateProcessing", "BertProcessing")
}
_WHITE = re.compile(r"\s")
_PAGE = 256


class _Column:
    """A growing int32 array."""

    def __init__(self, *first: int) -> None:
        self._room = np.zeros(4096, np.int32)
        self._count = 0
        self.add(np.array(first, np.int32))

    @property
    def values(self) -> IntArray:
        return self._room[: self._count]

    def add(self, new: IntArray) -> None:
        end = self._count + len(new)
        if end > len(self._room):
            self._room = np.concatenate((self.values, np.zeros(end, np.int32)))
        self._room[self._count : end] = new
        self._count = end


class _Words:
    """Words by number; a word's tokens are `ids[first[number] : first[number + 1]]`."""

    def __init__(self) -> None:
        self.numbers = WordTable()
        self.chars = 0
        self.first = _Column(0)
        self.ids = _Column()
        self.starts = _Column()
        """Offsets in characters from the start of the word."""
        self.ends = _Column()

    def learn(self, keys: KeyArray, lengths: IntArray, found: Tokens) -> None:
        """Add the tokens of new words, from one text with a space between words."""
        begins = np.cumsum(lengths + 1, dtype=np.int32) - lengths - 1
        word = np.searchsorted(begins, found.starts, "right") - 1
        counts = np.bincount(word, minlength=len(keys))
        self.ids.add(found.ids)
        self.starts.add(found.starts - begins[word])
        self.ends.add(found.ends - begins[word])
        self.first.add(self.first.values[-1] + np.cumsum(counts, dtype=np.int32))
        self.numbers.add(keys)
        self.chars += int(lengths.sum())

    def tokens(self, numbers: IntArray, begins: IntArray) -> Tokens:
        """Return the tokens of words that start at these characters."""
        first = self.first.values[numbers]
        counts = self.first.values[numbers + 1] - first
        words = np.repeat(np.arange(len(numbers), dtype=np.int32), counts)
        before = np.cumsum(counts, dtype=np.int32) - counts
        places = np.arange(len(words), dtype=np.int32) + (first - before)[words]
        begin = begins[words]
        return Tokens(
            ids=self.ids.values[places],
            starts=self.starts.values[places] + begin,
            ends=self.ends.values[places] + begin,
            words=words,
        )


@dataclass(frozen=True, slots=True)
class CacheSizes:
    """From when on words are cached, and how many."""

    min_chars: int = 20_000
    """Characters tokenised before the cache is created, which takes longer than a short text."""
    max_chars: int = 1_000_000
    """Maximum characters of all words before the cache is emptied."""


CACHE_SIZES = CacheSizes()


class TextEncoder(Protocol):
    """Tokenises a text as a whole."""

    def encode(self, text: str, /) -> Tokens:
        """Return the tokens of a text."""


class WordCache:
    """A word-by-word tokenizer; several threads may use it."""

    @classmethod
    def of(
        cls, tokenizer: RustTokenizer, encoder: TextEncoder, sizes: CacheSizes = CACHE_SIZES
    ) -> WordCache | None:
        """Return a cache for a tokenizer, or None where a word's tokens may depend on others.

        Args:
            tokenizer: loaded, neither truncating nor padding.
            encoder: tokenises a text with it.
            sizes: how much is cached.
        """
        parts = (
            tokenizer.model, tokenizer.normalizer, tokenizer.pre_tokenizer, tokenizer.post_processor
        )  # fmt: skip
        added = tokenizer.get_added_tokens_decoder().values()
        if (
            tuple(type(part).__name__ for part in parts) not in _LOCAL
            or not tokenizer.model.unk_token.strip()
            or any(token.normalized or _WHITE.search(token.content) for token in added)
        ):
            return None
        return cls(encoder, [token.content for token in added if token.content], sizes)

    def __init__(self, encoder: TextEncoder, added: Sequence[str], sizes: CacheSizes) -> None:
        """Start empty.

        Args:
            encoder: the tokenizer.
            added: tokens that it matches before it splits words.
            sizes: how much is cached.
        """
        self._encode = encoder.encode
        self._max_chars = sizes.max_chars
        self._added = re.compile("|".join(map(re.escape, added)) or r"(?!)")
        self._classes = np.full(0x110000, _UNKNOWN, np.uint8)
        self._classes[0xD800:0xE000] = _UNCLEAR  # lone surrogates are not text
        self._words = _Words()
        self._lock = Lock()

    def __call__(self, texts: Sequence[str]) -> list[Tokens | None]:
        """Return the tokens of each text, or None if only the tokenizer itself can tell.

        Several texts are tokenised as one, with line feeds between them, if those separate words.
        """
        with self._lock:
            if len(texts) > 1:
                found = self._tokens("\n".join(texts))
                if found is not None and self._classes[ord("\n")] == _SPACE:
                    return list(_separate(found, [len(text) for text in texts]))
            return [self._tokens(text) for text in texts]

    def _tokens(self, text: str) -> Tokens | None:
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
        classes = self._classes[codes]
        if not classes.all():
            self._classify(codes[classes == _UNKNOWN])
            classes = self._classes[codes]
        if (classes == _UNCLEAR).any() or self._added.search(text):
            return None
        begins, ends = _bounds(classes)
        lengths = ends - begins
        if lengths.max(initial=0) > LONGEST:
            return None
        keys = word_keys(codes[classes >= _LETTER], lengths)
        numbers = self._numbers(text, keys, begins, lengths)
        return self._words.tokens(numbers, begins)

    def _classify(self, codes: npt.NDArray[np.uint32]) -> None:
        """Classify the characters of these pages by placing each between two letters."""
        for page in np.unique(codes // _PAGE).tolist():
            codes = np.arange(page * _PAGE, (page + 1) * _PAGE)
            sample = " ".join(f"a{chr(code)}a" for code in codes.tolist())
            if self._added.search(sample):
                self._classes[codes] = _UNCLEAR
                continue
            tokens = self._encode(sample)
            word = np.full(4 * _PAGE, -1)
            for start, end, number in zip(tokens.starts, tokens.ends, tokens.words, strict=True):
                word[start:end] = number
            before, middle, after, _ = word.reshape(-1, 4).T
            alone = (middle != before) & (middle != after)
            self._classes[codes] = np.select(
                [before == after, middle < 0, alone], [_LETTER, _SPACE, _MARK], _UNCLEAR
            )

    def _numbers(self, text: str, keys: KeyArray, begins: IntArray, lengths: IntArray) -> IntArray:
        """Return the numbers of a text's words; tokenise the unknown ones first."""
        numbers = self._words.numbers.find(keys)
        if (numbers >= 0).all():
            return numbers
        if self._words.chars > self._max_chars:
            self._words = _Words()
            numbers[:] = -1
        unknown = np.flatnonzero(numbers < 0)
        new = unknown[np.unique(keys[unknown], return_index=True)[1]]
        places = zip(begins[new].tolist(), lengths[new].tolist(), strict=True)
        spelled = " ".join(text[begin : begin + length] for begin, length in places)
        self._words.learn(keys[new], lengths[new], self._encode(spelled))
        numbers[unknown] = self._words.numbers.find(keys[unknown])
        return numbers


def _separate(found: Tokens, lengths: Sequence[int]) -> Iterator[Tokens]:
    """Yield the tokens of each text from those of all, joined with a character between them."""
    begins = [0, *accumulate(length + 1 for length in lengths)]
    first = np.searchsorted(found.starts, begins).tolist()
    for begin, (left, right) in zip(begins, pairwise(first), strict=False):
        yield Tokens(
            ids=found.ids[left:right],
            starts=found.starts[left:right] - begin,
            ends=found.ends[left:right] - begin,
            words=found.words[left:right],
        )


def _bounds(classes: npt.NDArray[np.uint8]) -> tuple[IntArray, IntArray]:
    """Return the start and end of each word in characters."""
    letter = np.zeros(len(classes) + 2, np.bool_)
    letter[1:-1] = classes == _LETTER
    mark = classes == _MARK
    begins = np.flatnonzero((letter[1:-1] & ~letter[:-2]) | mark)
    ends = np.flatnonzero((letter[1:-1] & ~letter[2:]) | mark) + 1
    return begins.astype(np.int32), ends.astype(np.int32)
