"""The model's tokens of a whole document, found once, block by block.

Blocks bound the tokenizer's memory: 50 MB without spaces took 2.9 GB as one text and 137 MB in
blocks of 64k characters. Blocks end at line ends, where token counts do not change.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from localembed.types.models import Tokens

if TYPE_CHECKING:
    from localembed.types.arrays import IntArray
    from localembed.types.models import Tokenizer

    BoolArray = npt.NDArray[np.bool_]

BLOCK_CHARS = 16_384
_PART_CHARS = 64 * BLOCK_CHARS
_CHARS_TOGETHER = 4 * BLOCK_CHARS
"""Of blocks that are looked at as one: files of 7,000 alone take half as long again, and more at a
time gain nothing."""
LONG_TOKEN_CHARS = 256
"""Longer than any real token: a word the tokenizer gave up on, cut so that no chunk outgrows it."""

_SPACE, _STOP, _CLOSER, _WIDE_STOP = 1, 2, 4, 8


def _character_classes() -> npt.NDArray[np.uint8]:
    """Return the class of every code point of the basic plane: one look-up serves all questions."""
    classes = np.zeros(0x10000, np.uint8)
    members = {
        _SPACE: "\t\n\v\f\r \x85\xa0\u2028\u2029\u3000",
        _STOP: ".!?\u2026",
        _CLOSER: "\"')]}\xbb\u201d\u2019\u300d\u300f",
        # Chinese and Japanese full stop, exclamation and question mark: no space follows them.
        _WIDE_STOP: "\u3002\uff01\uff1f",
    }
    for kind, characters in members.items():
        classes[[ord(character) for character in characters]] = kind
    return classes


_CLASSES = _character_classes()


@dataclass(frozen=True, slots=True)
class DocumentTokens:
    """Parallel arrays over a document's n tokens, offsets in characters of the whole text."""

    ids: IntArray
    starts: IntArray
    ends: IntArray
    start_lines: IntArray
    """Line feeds before the token's first character."""
    end_lines: IntArray
    """Line feeds before the token's end."""
    word_start: BoolArray
    """The token begins a word, so cutting before it does not change any id."""
    column_zero: BoolArray
    """Nothing stands before the token on its line."""
    ends_sentence: BoolArray
    ends_in_colon: BoolArray
    joints: IntArray
    """Characters where a line or a word had to be cut by force: no ids across them are trusted."""
    overlong: IntArray
    """Where words of more than LONG_TOKEN_CHARS begin that became one unknown token."""

    def __len__(self) -> int:
        """Return the number of tokens."""
        return len(self.ids)

    def joined(self, behind: DocumentTokens) -> DocumentTokens:
        """Return these tokens and those that follow them."""
        return _concatenate([self, behind])

    def sliced(self, begin: int) -> DocumentTokens:
        """Return the tokens from `begin` on, free of the memory of the others."""
        arrays = {name: getattr(self, name)[begin:].copy() for name in _PER_TOKEN}
        return DocumentTokens(**arrays, joints=self.joints, overlong=_NONE)

    def part(self, tokens: slice, chars: slice, line: int) -> DocumentTokens:
        """Return the tokens of a text that stands in a longer one.

        Args:
            tokens: which are its own.
            chars: where it stands.
            line: line feeds before it.
        """
        begin = chars.start
        return DocumentTokens(
            ids=self.ids[tokens],
            starts=self.starts[tokens] - begin,
            ends=self.ends[tokens] - begin,
            start_lines=self.start_lines[tokens] - line,
            end_lines=self.end_lines[tokens] - line,
            word_start=self.word_start[tokens],
            column_zero=self.column_zero[tokens],
            ends_sentence=self.ends_sentence[tokens],
            ends_in_colon=self.ends_in_colon[tokens],
            joints=_inside(self.joints, chars),
            overlong=_inside(self.overlong, chars),
        )


_NONE = np.zeros(0, np.int32)
_PER_CHARACTER = ("joints", "overlong")
_PER_TOKEN = tuple(
    name for name in DocumentTokens.__dataclass_fields__ if name not in _PER_CHARACTER
)


def _inside(places: IntArray, chars: slice) -> IntArray:
    if not len(places):  # nearly always
        return places
    inside: IntArray = places[(places >= chars.start) & (places < chars.stop)] - chars.start
    return inside


@dataclass(frozen=True, slots=True)
class TextsTokens:
    """The tokens of several texts, as they stand in one text with a line feed between them."""

    tokens: DocumentTokens
    first: IntArray
    """The first token of each text, and how many there are: (texts + 1,)."""
    chars: tuple[slice, ...]
    """Where each text stands."""
    lines: tuple[int, ...]
    """Line feeds before each text."""

    def each(self) -> list[tuple[slice, DocumentTokens]]:
        """Return for each text which tokens are its own, and these tokens."""
        own = [slice(begin, end) for begin, end in pairwise(self.first.tolist())]
        return [
            (tokens, self.tokens.part(tokens, chars, line))
            for tokens, chars, line in zip(own, self.chars, self.lines, strict=True)
        ]


def token_parts(text: str, tokenizer: Tokenizer) -> Iterator[DocumentTokens]:
    """Yield the tokens of `text` in parts of about a million characters."""
    at = line = 0
    for blocks in _batched(_blocks(0, text), _PART_CHARS):
        line += text.count("\n", at, blocks[0].begin)
        at = blocks[0].begin
        yield _located(text, blocks, tokenizer, line)


def tokens_together(texts: Sequence[str], tokenizer: Tokenizer) -> TextsTokens:
    """Return the tokens of short texts, in half the time that they take one after another."""
    chars: list[slice] = []
    lines: list[int] = []
    blocks: list[_Block] = []
    begin = line = 0
    for text in texts:
        chars.append(slice(begin, begin + len(text)))
        lines.append(line)
        blocks += _blocks(begin, text)
        begin += len(text) + 1
        line += text.count("\n") + 1
    joined = "\n".join(texts)
    blocks = blocks or [_Block(0, 0, joint=False)]
    tokens = _located(joined, blocks, tokenizer, joined.count("\n", 0, blocks[0].begin))
    # A token of nothing but spaces may begin at its text's end.
    behind = np.searchsorted(tokens.starts, [place.stop for place in chars], "right")
    return TextsTokens(tokens, np.append(0, behind), tuple(chars), tuple(lines))


class _Block(NamedTuple):
    """Characters [begin, end) of a text, for the tokenizer."""

    begin: int
    end: int
    joint: bool
    """It begins inside of a line."""


def _blocks(begin: int, text: str) -> Iterator[_Block]:
    """Yield blocks that cover a text which stands at `begin`."""
    start, joint = 0, False
    while start < len(text):
        end = min(start + BLOCK_CHARS, len(text))
        next_joint = False
        if end < len(text):
            cut = text.rfind("\n", start, end) + 1
            if cut <= start:
                cut = text.rfind(" ", start, end) + 1
                next_joint = True
            end = cut if cut > start else end
        yield _Block(begin + start, begin + end, joint)
        start, joint = end, next_joint


def _batched(blocks: Iterable[_Block], chars: int) -> Iterator[list[_Block]]:
    """Yield blocks of so many characters at a time."""
    batch: list[_Block] = []
    for block in blocks:
        if batch and block.end - batch[0].begin > chars:
            yield batch
            batch = []
        batch.append(block)
    if batch:
        yield batch


def _located(
    text: str, blocks: Sequence[_Block], tokenizer: Tokenizer, line: int
) -> DocumentTokens:
    """Return the tokens of blocks one behind the other; `line` line feeds stand before them."""
    parts: list[DocumentTokens] = []
    at = blocks[0].begin
    for few in _batched(blocks, _CHARS_TOGETHER):
        line += text.count("\n", at, few[0].begin)
        at = few[0].begin
        found = tokenizer([text[block.begin : block.end] for block in few])
        parts.append(_locate(text, few, found, line))
    return _concatenate(parts)


def _locate(
    text: str, blocks: Sequence[_Block], found: Sequence[Tokens], line: int
) -> DocumentTokens:
    """Return the tokens of a few blocks with their lines and neighbours, in the text's places."""
    begin = blocks[0].begin
    around = text[begin : blocks[-1].end + 1]
    codes = np.frombuffer(around.encode("utf-32-le", "surrogatepass"), np.uint32)
    tokens = _one_behind_the_other(found, [block.begin - begin for block in blocks])
    overlong = tokens.starts[tokens.ends - tokens.starts > LONG_TOKEN_CHARS]
    ids, starts, ends, words, forced = _split_overlong(tokens)
    classes = _CLASSES[np.minimum(codes, len(_CLASSES) - 1)]
    starts = _skip_spaces(classes, starts, ends)
    feeds = np.zeros(len(codes) + 1, np.int32)
    np.cumsum(codes == 10, out=feeds[1:])
    last = np.maximum(ends, 1) - 1
    word_start = np.ones(len(ids), np.bool_)
    word_start[1:] = words[1:] != words[:-1]
    column_zero = (starts == 0) & (not blocks[0].joint)
    inner = starts > 0
    column_zero[inner] = codes[starts[inner] - 1] == 10
    joints = [block.begin for block in blocks if block.joint]
    return DocumentTokens(
        ids=ids,
        starts=starts + begin,
        ends=ends + begin,
        start_lines=feeds[starts] + line,
        end_lines=feeds[ends] + line,
        word_start=word_start,
        column_zero=column_zero,
        ends_sentence=_ends_sentence(classes, last),
        ends_in_colon=codes[last] == ord(":") if len(codes) else np.zeros(0, np.bool_),
        joints=np.concatenate((joints, forced + begin)).astype(np.int32),
        overlong=overlong + begin,
    )


def _one_behind_the_other(found: Sequence[Tokens], begins: Sequence[int]) -> Tokens:
    """Return the tokens of blocks that begin at these characters, as those of one text."""
    if len(found) == 1:
        return found[0]
    counts = [int(tokens.words[-1]) + 1 if len(tokens.ids) else 0 for tokens in found]
    words = accumulate(counts[:-1], initial=0)
    return Tokens(
        ids=np.concatenate([tokens.ids for tokens in found]),
        starts=np.concatenate([t.starts + begin for t, begin in zip(found, begins, strict=True)]),
        ends=np.concatenate([t.ends + begin for t, begin in zip(found, begins, strict=True)]),
        words=np.concatenate([t.words + first for t, first in zip(found, words, strict=True)]),
    )


def _skip_spaces(classes: npt.NDArray[np.uint8], starts: IntArray, ends: IntArray) -> IntArray:
    """Move starts past white space: byte-level tokenizers count it into the token."""
    starts = starts.copy()
    while True:
        inner = np.flatnonzero(starts < ends)
        spaced = inner[classes[starts[inner]] == _SPACE]
        if not len(spaced):
            return starts
        starts[spaced] += 1


def _ends_sentence(classes: npt.NDArray[np.uint8], last: IntArray) -> BoolArray:
    """Tell which tokens end a sentence: a full stop, or one with a closing mark behind it."""
    if not len(last):
        return np.zeros(0, np.bool_)
    behind = np.minimum(last + 1, len(classes) - 1)
    own = classes[last]
    closed = (own == _CLOSER) & (classes[np.maximum(last, 1) - 1] == _STOP)
    followed = (classes[behind] == _SPACE) | (behind == last)
    ends: BoolArray = (((own == _STOP) | closed) & followed) | (own == _WIDE_STOP)
    return ends


def _split_overlong(
    tokens: Tokens,
) -> tuple[IntArray, IntArray, IntArray, IntArray, IntArray]:
    """Split tokens longer than LONG_TOKEN_CHARS into pieces that a boundary may separate.

    Returns ids, starts, ends, words, and the characters where a word was cut.
    """
    lengths = tokens.ends - tokens.starts
    if not len(lengths) or int(lengths.max()) <= LONG_TOKEN_CHARS:
        return tokens.ids, tokens.starts, tokens.ends, tokens.words, np.zeros(0, np.int32)
    pieces = np.maximum(1, -(-lengths // LONG_TOKEN_CHARS))
    index = np.repeat(np.arange(len(lengths)), pieces)
    first = np.concatenate(([0], np.cumsum(pieces)[:-1]))
    step = (np.arange(len(index)) - first[index]).astype(np.int32)
    starts = tokens.starts[index] + step * LONG_TOKEN_CHARS
    ends = np.minimum(starts + LONG_TOKEN_CHARS, tokens.ends[index])
    return tokens.ids[index], starts, ends, tokens.words[index], starts[step > 0]


def _concatenate(parts: Sequence[DocumentTokens]) -> DocumentTokens:
    """Return neighbouring parts as one."""
    if len(parts) == 1:
        return parts[0]
    names = DocumentTokens.__dataclass_fields__
    return DocumentTokens(
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    )
