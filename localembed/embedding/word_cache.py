"""The tokens of words seen before: a WordPiece tokenizer looks at one word at a time.

The tokenizer itself says which characters separate words, are words of their own or belong to one,
a page of 256 at a time, and it tokenises every word once. Nothing is known here of Unicode or of
what a normaliser does, so nothing can differ from it. On 3.6 MB of prose, 1.1 million tokens, this
took 0.26 s where the tokenizer took 1.6 s.
"""

from __future__ import annotations

import re
from itertools import repeat
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from localembed.types import Tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from tokenizers import Tokenizer as RustTokenizer

    from localembed.types import IntArray

_UNASKED, _SPACE, _LETTER, _MARK, _UNCLEAR = range(5)
_LOCAL = {
    ("WordPiece", "BertNormalizer", "BertPreTokenizer", processor)
    for processor in ("NoneType", "TemplateProcessing", "BertProcessing")
}
_WHITE = re.compile(r"\s")
_PAGE = 256
_MOST_CHARS = 1_000_000
"""Of all words that are kept, about 25 MB; then they are forgotten and collected anew."""


class _Column:
    """Numbers that others are added to; who looks at some without a lock still finds them."""

    def __init__(self, first: int | None = None) -> None:
        self.values = np.zeros(4096, np.int32)
        self._count = 0 if first is None else 1

    def add(self, new: IntArray) -> None:
        end = self._count + len(new)
        if end > len(self.values):
            self.values = np.concatenate((self.values[: self._count], np.zeros(end, np.int32)))
        self.values[self._count : end] = new
        self._count = end


class _Words:
    """Words by number; a word's tokens stand in `ids[first[number] : first[number + 1]]`."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}
        self.chars = 0
        self.first = _Column(0)
        self.ids = _Column()
        self.starts = _Column()
        """Characters from the beginning of the word."""
        self.ends = _Column()

    def learn(self, words: Sequence[str], found: Tokens) -> None:
        """Take in the tokens of new words, which stood in one text with a space between them."""
        lengths = np.fromiter(map(len, words), np.int32, len(words))
        begins = np.cumsum(lengths + 1, dtype=np.int32) - lengths - 1
        word = np.searchsorted(begins, found.starts, "right") - 1
        counts = np.bincount(word, minlength=len(words))
        known = len(self.numbers)
        # The tokens first: who finds a word's number without the lock finds its tokens.
        self.ids.add(found.ids)
        self.starts.add(found.starts - begins[word])
        self.ends.add(found.ends - begins[word])
        self.first.add(self.first.values[known] + np.cumsum(counts, dtype=np.int32))
        self.numbers.update(zip(words, range(known, known + len(words)), strict=True))
        self.chars += int(lengths.sum())

    def find(self, spelled: Sequence[str]) -> IntArray:
        """Return the words' numbers, -1 for one that is not known."""
        return np.fromiter(map(self.numbers.get, spelled, repeat(-1)), np.int32, len(spelled))

    def tokens(self, numbers: IntArray, begins: IntArray) -> Tokens:
        """Return the tokens of words that begin at these characters."""
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


class WordCache:
    """Tokenises texts by their words; several threads may use it."""

    @classmethod
    def of(cls, tokenizer: RustTokenizer, encode: Callable[[str], Tokens]) -> WordCache | None:
        """Return a cache for a tokenizer, or None where a word's tokens may depend on others.

        Args:
            tokenizer: loaded, neither truncating nor padding.
            encode: asks it.
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
        return cls(encode, [token.content for token in added if token.content])

    def __init__(self, encode: Callable[[str], Tokens], added: Sequence[str]) -> None:
        """Begin with nothing.

        Args:
            encode: the tokenizer.
            added: tokens that it looks for before it looks for words.
        """
        self._encode = encode
        self._added = re.compile("|".join(map(re.escape, added)) or r"(?!)")
        self._classes = np.full(0x110000, _UNASKED, np.uint8)
        self._classes[0xD800:0xE000] = _UNCLEAR  # surrogates alone are no text
        self._words = _Words()
        self._lock = Lock()

    def __call__(self, text: str) -> Tokens | None:
        """Return the tokens of a text, or None when only the tokenizer itself can tell them."""
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
        classes = self._classes[codes]
        if not classes.all():
            self._ask(codes[classes == _UNASKED])
            classes = self._classes[codes]
        if (classes == _UNCLEAR).any() or self._added.search(text):
            return None
        begins, ends = _bounds(classes)
        spelled = [text[a:b] for a, b in zip(begins.tolist(), ends.tolist(), strict=True)]
        words = self._words
        numbers = words.find(spelled)
        unknown = np.flatnonzero(numbers < 0).tolist()
        if unknown:
            before, words = words, self._learnt({spelled[place] for place in unknown}, spelled)
            if words is before:
                numbers[unknown] = words.find([spelled[place] for place in unknown])
            else:
                numbers = words.find(spelled)
        return words.tokens(numbers, begins)

    def _ask(self, codes: npt.NDArray[np.uint32]) -> None:
        """Find out what the characters of these pages are: each stands between two letters."""
        for page in np.unique(codes // _PAGE).tolist():
            asked = np.arange(page * _PAGE, (page + 1) * _PAGE)
            question = " ".join(f"a{chr(code)}a" for code in asked.tolist())
            if self._added.search(question):
                self._classes[asked] = _UNCLEAR
                continue
            tokens = self._encode(question)
            word = np.full(4 * _PAGE, -1)
            for start, end, number in zip(tokens.starts, tokens.ends, tokens.words, strict=True):
                word[start:end] = number
            before, own, behind, _ = word.reshape(-1, 4).T
            alone = (own != before) & (own != behind)
            self._classes[asked] = np.select(
                [before == behind, own < 0, alone], [_LETTER, _SPACE, _MARK], _UNCLEAR
            )

    def _learnt(self, unknown: Collection[str], needed: Collection[str]) -> _Words:
        """Return words that hold all that are needed, having asked for those that are unknown."""
        with self._lock:
            if self._words.chars > _MOST_CHARS:
                self._words, unknown = _Words(), set(needed)
            # Another thread may have learnt some of them meanwhile.
            if new := [word for word in unknown if word not in self._words.numbers]:
                self._words.learn(new, self._encode(" ".join(new)))
            return self._words


def _bounds(classes: npt.NDArray[np.uint8]) -> tuple[IntArray, IntArray]:
    """Return where each word begins and ends, in characters."""
    letter = np.zeros(len(classes) + 2, np.bool_)
    letter[1:-1] = classes == _LETTER
    mark = classes == _MARK
    begins = np.flatnonzero((letter[1:-1] & ~letter[:-2]) | mark)
    ends = np.flatnonzero((letter[1:-1] & ~letter[2:]) | mark) + 1
    return begins.astype(np.int32), ends.astype(np.int32)
