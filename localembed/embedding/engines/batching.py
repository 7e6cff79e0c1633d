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

    from localembed.types.arrays import IntArray

    Lengths = npt.NDArray[np.int64]

_MAX_WASTE = 0.04
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


def padded_lengths(lengths: Lengths, pads_to: int, most: int) -> Lengths:
    """Return how long every item of a batch becomes, for batches by their longest items' lengths.

    Args:
        lengths: tokens of the longest items.
        pads_to: what the engine rounds up to; 1 for not at all.
        most: the most that the model reads, which rounding up never passes.
    """
    rounded = np.minimum(most, -(-lengths // pads_to) * pads_to)
    return np.where(lengths < _WIDE, lengths, np.maximum(lengths, rounded))


def make_batches(lengths: Lengths, budget: int, *, pads: bool = True) -> list[Lengths]:
    """Return batches of indices into `lengths`; each index appears exactly once.

    Args:
        lengths: tokens of each item, (items,).
        budget: tokens of one batch, padding included; an item longer than that is a batch of its
            own.
        pads: whether all items of a batch become as long as its longest.
    """
    order = np.argsort(-lengths, kind="stable")
    sums = np.concatenate(([0], np.cumsum(lengths[order])))
    batches: list[Lengths] = []
    begin = 0
    while begin < len(order):
        rest = sums[begin:] - sums[begin]
        fitting = _fitting_padded(rest, budget) if pads else _fitting(rest, budget)
        batches.append(order[begin : begin + fitting])
        begin += fitting
    return batches


def _fitting(sums: Lengths, budget: int) -> int:
    """Return how many items fit into a batch, one at least.

    Args:
        sums: tokens of the first 0, 1, 2 ... items, the longest first.
        budget: tokens of the batch.
    """
    return max(1, int(np.searchsorted(sums, budget, "right")) - 1)


def _fitting_padded(sums: Lengths, budget: int) -> int:
    """Return the same where all become as long as the first and padding must not waste much."""
    width = int(sums[1])
    most = max(1, min(len(sums) - 1, budget // max(1, width)))
    padded = width * np.arange(1, most + 1)
    wasted = padded - sums[1 : most + 1]
    fits = (padded <= _WORTH_A_BATCH) | (wasted <= _MAX_WASTE * padded)
    return most if fits.all() else max(1, int(np.argmin(fits)))


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
    """Return ids and attention mask, both (items, width) int64; see `padded_lengths`."""
    lengths = np.array([len(item) for item in items])
    width = int(padded_lengths(lengths.max(keepdims=True), pads_to, padding.most)[0])
    mask = np.arange(width) < lengths[:, None]
    ids = np.full(mask.shape, padding.pad_id, np.int64)
    ids[mask] = np.concatenate(items)
    return ids, mask.astype(np.int64)
