"""The model's tokens of a whole document, found once, block by block.

Blocks bound the tokenizer's memory: 50 MB without spaces took 2.9 GB as one text and 137 MB in
blocks of 64k characters. Blocks end at line ends, where token counts do not change.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from localembed.types import IntArray, Tokenizer, Tokens

    BoolArray = npt.NDArray[np.bool_]

BLOCK_CHARS = 16_384
_BATCH_BLOCKS = 64
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
    overlong: int
    """Words of more than LONG_TOKEN_CHARS that became one unknown token."""

    def __len__(self) -> int:
        """Return the number of tokens."""
        return len(self.ids)

    def joined(self, behind: DocumentTokens) -> DocumentTokens:
        """Return these tokens and those that follow them."""
        return _concatenate([self, behind])

    def sliced(self, begin: int) -> DocumentTokens:
        """Return the tokens from `begin` on, free of the memory of the others."""
        arrays = {name: getattr(self, name)[begin:].copy() for name in _PER_TOKEN}
        return DocumentTokens(**arrays, joints=self.joints, overlong=0)


_PER_TOKEN = tuple(
    name for name in DocumentTokens.__dataclass_fields__ if name not in ("joints", "overlong")
)


def token_parts(text: str, tokenizer: Tokenizer) -> Iterator[DocumentTokens]:
    """Yield the tokens of `text` in parts of about a million characters."""
    line = 0
    for batch in _batched(_block_spans(text)):
        blocks = [text[start:end] for start, end, _ in batch]
        parts: list[DocumentTokens] = []
        for (start, _, joint), block, tokens in zip(batch, blocks, tokenizer(blocks), strict=True):
            parts.append(_locate(block, tokens, offset=start, line=line, joint=joint))
            line += block.count("\n")
        yield _concatenate(parts)


def _block_spans(text: str) -> Iterator[tuple[int, int, bool]]:
    """Yield (start, end, starts inside a line) of blocks that cover `text`."""
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
        yield start, end, joint
        start, joint = end, next_joint


def _batched(
    spans: Iterator[tuple[int, int, bool]],
) -> Iterator[list[tuple[int, int, bool]]]:
    batch: list[tuple[int, int, bool]] = []
    for span in spans:
        batch.append(span)
        if len(batch) == _BATCH_BLOCKS:
            yield batch
            batch = []
    if batch:
        yield batch


def _locate(block: str, tokens: Tokens, *, offset: int, line: int, joint: bool) -> DocumentTokens:
    """Return one block's tokens with their lines and neighbours, in the document's coordinates."""
    codes = np.frombuffer(block.encode("utf-32-le", "surrogatepass"), np.uint32)
    ids, starts, ends, words, forced = _split_overlong(tokens)
    classes = _CLASSES[np.minimum(codes, len(_CLASSES) - 1)]
    starts = _skip_spaces(classes, starts, ends)
    feeds = np.zeros(len(codes) + 1, np.int32)
    np.cumsum(codes == 10, out=feeds[1:])
    last = np.maximum(ends, 1) - 1
    word_start = np.ones(len(ids), np.bool_)
    word_start[1:] = words[1:] != words[:-1]
    column_zero = (starts == 0) & (not joint)
    inner = starts > 0
    column_zero[inner] = codes[starts[inner] - 1] == 10
    return DocumentTokens(
        ids=ids,
        starts=starts + offset,
        ends=ends + offset,
        start_lines=feeds[starts] + line,
        end_lines=feeds[ends] + line,
        word_start=word_start,
        column_zero=column_zero,
        ends_sentence=_ends_sentence(classes, last),
        ends_in_colon=codes[last] == ord(":") if len(codes) else np.zeros(0, np.bool_),
        joints=np.concatenate(([offset] if joint else [], forced + offset)).astype(np.int32),
        overlong=int((tokens.ends - tokens.starts > LONG_TOKEN_CHARS).sum()),
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
    """Cut tokens longer than LONG_TOKEN_CHARS into pieces that can be cut between.

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


def _concatenate(parts: list[DocumentTokens]) -> DocumentTokens:
    """Return neighbouring parts as one."""
    if len(parts) == 1:
        return parts[0]
    arrays = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in (*_PER_TOKEN, "joints")
    }
    return DocumentTokens(**arrays, overlong=sum(part.overlong for part in parts))
