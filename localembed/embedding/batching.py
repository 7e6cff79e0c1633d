"""Batches of token ids: longest first, cut by a budget of padded tokens and by what padding wastes.

Neighbours have nearly the same length, so padding is next to nothing, and the longest batch comes
first, so that too little memory shows at once. The order of results never depends on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from localembed.types import IntArray

_MOST_WASTE = 0.04
"""Of a batch's padded tokens."""
_WORTH_A_BATCH = 512
"""Padded tokens under which a forward pass costs more than its padding."""
ATTENTION_WIDTH = 16
"""Numbers that a processor takes at once. torch computes what is left of a row of attention one by
one: 254 tokens took 2.4 times as long as 256."""
_WIDE = 64
"""Tokens from which on attention costs more than rounding up does."""


@dataclass(frozen=True, slots=True)
class Padding:
    """What a model's batches are filled up with."""

    pad_id: int
    most: int = 0
    """Tokens that the model reads at most: rounding up never passes that."""


def padded_length(longest: int, pads_to: int, most: int) -> int:
    """Return how long every item of a batch becomes.

    Args:
        longest: tokens of the longest item.
        pads_to: what the engine rounds up to; 1 for not at all.
        most: the most that the model reads, which rounding up never passes.
    """
    if longest < _WIDE:
        return longest
    return max(longest, min(most, -(-longest // pads_to) * pads_to))


def cut_batches(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Return batches of indices into `lengths`; each index appears exactly once.

    Args:
        lengths: tokens of each item.
        budget: padded tokens of one batch; an item longer than that is a batch of its own.
    """
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    batches: list[list[int]] = []
    width = tokens = 0
    for index in order:
        padded = width * (len(batches[-1]) + 1) if batches else 0
        wasted = padded - tokens - lengths[index]
        fits = padded <= budget and (padded <= _WORTH_A_BATCH or wasted <= _MOST_WASTE * padded)
        if batches and fits:
            batches[-1].append(index)
            tokens += lengths[index]
        else:
            batches.append([index])
            width = tokens = lengths[index]
    return batches


def split_evenly(ids: IntArray, room: int, prompt: IntArray) -> list[IntArray]:
    """Return prompted ids in equal pieces that fit the model, each with the prompt in front.

    Args:
        ids: of prompt and text.
        room: the most that the model reads, without special tokens.
        prompt: the prompt's own ids.
    """
    if len(ids) <= room:
        return [ids]
    text = ids[len(prompt) :]
    count = -(-len(text) // (room - len(prompt)))
    return [np.concatenate((prompt, piece)) for piece in np.array_split(text, count)]


def pad(
    items: Sequence[IntArray], padding: Padding, pads_to: int = 1
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return ids and attention mask, both (items, `padded_length`) int64."""
    lengths = np.array([len(item) for item in items])
    width = padded_length(int(lengths.max()), pads_to, padding.most)
    mask = np.arange(width) < lengths[:, None]
    ids = np.full(mask.shape, padding.pad_id, np.int64)
    ids[mask] = np.concatenate(items)
    return ids, mask.astype(np.int64)
