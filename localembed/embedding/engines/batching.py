"""Batches of token ids: longest first, limited by padded tokens and by the share of padding.

Neighbours have nearly the same length, so there is almost no padding, and the longest batch comes
first, so that a lack of memory shows at once. The order of results never depends on it.
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
"""Maximum share of padding in a batch."""
_WORTH_A_BATCH = 512
"""Padded tokens below which a forward pass costs more than its padding."""
ATTENTION_WIDTH = 16
"""Floats that a CPU processes at once. torch computes the remainder of an attention row one by
one: 254 tokens took 2.4 times as long as 256."""
_WIDE = 64
"""Width in tokens from which the remainder costs more than rounding up."""


@dataclass(frozen=True, slots=True)
class Padding:
    """How a model's batches are padded."""

    pad_id: int
    max_tokens: int = 0
    """Maximum tokens of an input, which rounding up never exceeds."""


def padded_lengths(lengths: Lengths, pads_to: int, max_tokens: int) -> Lengths:
    """Return the padded width of each batch, from the length of its longest item.

    Args:
        lengths: tokens of the longest items.
        pads_to: multiple that the engine rounds up to; 1 for no rounding.
        max_tokens: maximum tokens of an input, which rounding up never exceeds.
    """
    rounded = np.minimum(max_tokens, -(-lengths // pads_to) * pads_to)
    return np.where(lengths < _WIDE, lengths, np.maximum(lengths, rounded))


def make_batches(lengths: Lengths, budget: int, *, pads: bool = True) -> list[Lengths]:
    """Return batches of indices into `lengths`; each index appears exactly once.

    Args:
        lengths: tokens of each item, (items,).
        budget: tokens of one batch, padding included; a longer item is a batch of its own.
        pads: whether all items of a batch are padded to its longest.
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
    """Return how many items fit into a batch, at least one.

    Args:
        sums: total tokens of the first 0, 1, 2 ... items, the longest first.
        budget: tokens of the batch.
    """
    return max(1, int(np.searchsorted(sums, budget, "right")) - 1)


def _fitting_padded(sums: Lengths, budget: int) -> int:
    """Return the same for items padded to the first, within the maximum share of padding."""
    width = int(sums[1])
    count = max(1, min(len(sums) - 1, budget // max(1, width)))
    padded = width * np.arange(1, count + 1)
    wasted = padded - sums[1 : count + 1]
    fits = (padded <= _WORTH_A_BATCH) | (wasted <= _MAX_WASTE * padded)
    return count if fits.all() else max(1, int(np.argmin(fits)))


def split_evenly(ids: IntArray, room: int, prompt: IntArray) -> list[IntArray]:
    """Split ids into equal parts that fit the model, each with the prompt in front.

    Args:
        ids: token ids of prompt and text together.
        room: maximum tokens of an input, without special tokens.
        prompt: token ids of the prompt alone.
    """
    if len(ids) <= room:
        return [ids]
    text = ids[len(prompt) :]
    count = -(-len(text) // (room - len(prompt)))
    return [np.concatenate((prompt, part)) for part in np.array_split(text, count)]


def pad(
    items: Sequence[IntArray], padding: Padding, pads_to: int = 1
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return ids and attention mask, both (items, width) int64; see `padded_lengths`."""
    lengths = np.array([len(item) for item in items])
    width = int(padded_lengths(lengths.max(keepdims=True), pads_to, padding.max_tokens)[0])
    mask = np.arange(width) < lengths[:, None]
    ids = np.full(mask.shape, padding.pad_id, np.int64)
    ids[mask] = np.concatenate(items)
    return ids, mask.astype(np.int64)
