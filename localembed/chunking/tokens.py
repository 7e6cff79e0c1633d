"""Tokenise a whole document once with the model's tokenizer, block by block.

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

MAX_TOKEN_CHARS = 256
"""Maximum characters per token. No real token is longer; a word the tokenizer gave up on is, and is
divided so that no chunk outgrows its limit."""


@dataclass(frozen=True, slots=True)
class BlockSizes:
    """How many characters are tokenised together."""

    block: int = 16_384
    """Maximum characters per block."""
    batch: int = 4 * 16_384
    """Maximum characters of the blocks processed together: files of 7,000 characters take half as
    long again alone, and larger batches gain nothing."""
    part: int = 64 * 16_384
    """Maximum characters of a document tokenised at a time."""


BLOCK_SIZES = BlockSizes()

_SPACE, _STOP, _CLOSER, _WIDE_STOP = 1, 2, 4, 8


def _character_classes() -> npt.NDArray[np.uint8]:
    """Return the class of every code point of the basic plane, for one look-up per character."""
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
    """Number of line feeds before the token's first character."""
    end_lines: IntArray
    """Number of line feeds before the token's end."""
    word_start: BoolArray
    """Whether the token begins a word, so that a boundary before it changes no id."""
    column_zero: BoolArray
    """Whether the token is the first on its line, without indentation."""
    ends_sentence: BoolArray
    ends_in_colon: BoolArray
    joints: IntArray
    """Offsets where a line or a word had to be broken: ids across them are not trusted."""
    overlong: IntArray
    """Offsets of words over MAX_TOKEN_CHARS that became one unknown token."""

    def __len__(self) -> int:
        """Return the number of tokens."""
        return len(self.ids)

    def joined(self, following: DocumentTokens) -> DocumentTokens:
        """Return these tokens and those that follow them."""
        return _concatenate([self, following])

    def sliced(self, begin: int) -> DocumentTokens:
        """Return a copy of the tokens from `begin` on, so that the others can be freed."""
        arrays = {name: getattr(self, name)[begin:].copy() for name in _PER_TOKEN}
        return DocumentTokens(**arrays, joints=self.joints, overlong=_NONE)

    def part(self, tokens: slice, chars: slice, line: int) -> DocumentTokens:
        """Return the tokens of a text that is part of a longer one.

        Args:
            tokens: the range of its tokens.
            chars: the range of its characters.
            line: number of line feeds before it.
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
    """The tokens of several texts that were joined with line feeds between them."""

    tokens: DocumentTokens
    first: IntArray
    """The first token of each text, then the number of tokens: (texts + 1,)."""
    chars: tuple[slice, ...]
    """Characters of each text in the joined text."""
    lines: tuple[int, ...]
    """Number of line feeds before each text."""

    def each(self) -> list[tuple[slice, DocumentTokens]]:
        """Return for each text the range of its tokens, and these tokens."""
        ranges = [slice(begin, end) for begin, end in pairwise(self.first.tolist())]
        return [
            (tokens, self.tokens.part(tokens, chars, line))
            for tokens, chars, line in zip(ranges, self.chars, self.lines, strict=True)
        ]


def token_parts(
    text: str, tokenizer: Tokenizer, sizes: BlockSizes = BLOCK_SIZES
) -> Iterator[DocumentTokens]:
    """Yield the tokens of `text` in parts of about a million characters."""
    at = line = 0
    for blocks in _batched(_blocks(0, text, sizes), sizes.part):
        line += text.count("\n", at, blocks[0].begin)
        at = blocks[0].begin
        yield _located(text, blocks, tokenizer, line, sizes)


def tokens_together(
    texts: Sequence[str], tokenizer: Tokenizer, sizes: BlockSizes = BLOCK_SIZES
) -> TextsTokens:
    """Return the tokens of short texts, in half the time that tokenising them one by one takes."""
    chars: list[slice] = []
    lines: list[int] = []
    blocks: list[_Block] = []
    begin = line = 0
    for text in texts:
        chars.append(slice(begin, begin + len(text)))
        lines.append(line)
        blocks += _blocks(begin, text, sizes)
        begin += len(text) + 1
        line += text.count("\n") + 1
    joined = "\n".join(texts)
    blocks = blocks or [_Block(0, 0, joint=False)]
    tokens = _located(joined, blocks, tokenizer, joined.count("\n", 0, blocks[0].begin), sizes)
    # A token that is only spaces may begin at its text's end.
    ends = np.searchsorted(tokens.starts, [place.stop for place in chars], "right")
    return TextsTokens(tokens, np.append(0, ends), tuple(chars), tuple(lines))


class _Block(NamedTuple):
    """Characters [begin, end) of a text that are tokenised together."""

    begin: int
    end: int
    joint: bool
    """Whether it begins inside a line."""


def _blocks(begin: int, text: str, sizes: BlockSizes) -> Iterator[_Block]:
    """Yield blocks that cover a text which starts at character `begin`."""
    start, joint = 0, False
    while start < len(text):
        end = min(start + sizes.block, len(text))
        next_joint = False
        if end < len(text):
            place = text.rfind("\n", start, end) + 1
            if place <= start:
                place = text.rfind(" ", start, end) + 1
                next_joint = True
            end = place if place > start else end
        yield _Block(begin + start, begin + end, joint)
        start, joint = end, next_joint


def _batched(blocks: Iterable[_Block], max_chars: int) -> Iterator[list[_Block]]:
    """Yield lists of blocks with at most `max_chars` characters together."""
    batch: list[_Block] = []
    for block in blocks:
        if batch and block.end - batch[0].begin > max_chars:
            yield batch
            batch = []
        batch.append(block)
    if batch:
        yield batch


def _located(
    text: str, blocks: Sequence[_Block], tokenizer: Tokenizer, line: int, sizes: BlockSizes
) -> DocumentTokens:
    """Return the tokens of consecutive blocks, which have `line` line feeds before them."""
    parts: list[DocumentTokens] = []
    at = blocks[0].begin
    for batch in _batched(blocks, sizes.batch):
        line += text.count("\n", at, batch[0].begin)
        at = batch[0].begin
        found = tokenizer([text[block.begin : block.end] for block in batch])
        parts.append(_locate(text, batch, found, line))
    return _concatenate(parts)


def _locate(
    text: str, blocks: Sequence[_Block], found: Sequence[Tokens], line: int
) -> DocumentTokens:
    """Return the tokens of a batch of blocks with their lines and offsets in the text."""
    begin = blocks[0].begin
    around = text[begin : blocks[-1].end + 1]
    codes = np.frombuffer(around.encode("utf-32-le", "surrogatepass"), np.uint32)
    tokens = _joined_blocks(found, [block.begin - begin for block in blocks])
    overlong = tokens.starts[tokens.ends - tokens.starts > MAX_TOKEN_CHARS]
    ids, starts, ends, words, forced = _divide_overlong(tokens)
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


def _joined_blocks(found: Sequence[Tokens], begins: Sequence[int]) -> Tokens:
    """Return the tokens of blocks that begin at `begins` as the tokens of one text."""
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
    """Move starts past white space, which byte-level tokenizers include in the token."""
    starts = starts.copy()
    while True:
        inner = np.flatnonzero(starts < ends)
        spaced = inner[classes[starts[inner]] == _SPACE]
        if not len(spaced):
            return starts
        starts[spaced] += 1


def _ends_sentence(classes: npt.NDArray[np.uint8], last: IntArray) -> BoolArray:
    """Tell which tokens end a sentence: a full stop, optionally with a closing mark after it."""
    if not len(last):
        return np.zeros(0, np.bool_)
    following = np.minimum(last + 1, len(classes) - 1)
    kinds = classes[last]
    closed = (kinds == _CLOSER) & (classes[np.maximum(last, 1) - 1] == _STOP)
    followed = (classes[following] == _SPACE) | (following == last)
    ends: BoolArray = (((kinds == _STOP) | closed) & followed) | (kinds == _WIDE_STOP)
    return ends


def _divide_overlong(
    tokens: Tokens,
) -> tuple[IntArray, IntArray, IntArray, IntArray, IntArray]:
    """Divide tokens longer than MAX_TOKEN_CHARS into parts that a boundary may separate.

    Returns ids, starts, ends, words, and the offsets where a word was divided.
    """
    lengths = tokens.ends - tokens.starts
    if not len(lengths) or int(lengths.max()) <= MAX_TOKEN_CHARS:
        return tokens.ids, tokens.starts, tokens.ends, tokens.words, np.zeros(0, np.int32)
    counts = np.maximum(1, -(-lengths // MAX_TOKEN_CHARS))
    index = np.repeat(np.arange(len(lengths)), counts)
    first = np.concatenate(([0], np.cumsum(counts)[:-1]))
    step = (np.arange(len(index)) - first[index]).astype(np.int32)
    starts = tokens.starts[index] + step * MAX_TOKEN_CHARS
    ends = np.minimum(starts + MAX_TOKEN_CHARS, tokens.ends[index])
    return tokens.ids[index], starts, ends, tokens.words[index], starts[step > 0]


def _concatenate(parts: Sequence[DocumentTokens]) -> DocumentTokens:
    """Return consecutive parts as one."""
    if len(parts) == 1:
        return parts[0]
    names = DocumentTokens.__dataclass_fields__
    return DocumentTokens(
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    )
