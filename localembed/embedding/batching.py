"""Batches of token ids: by length, longest first, cut by a budget of padded tokens.

Padding waste shrinks because neighbours have nearly the same length, and the longest batch comes
first, so that too little memory shows at once. The order of results never depends on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from localembed.types import IntArray

_BUCKET = 16


def cut_batches(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Return batches of indices into `lengths`; each index appears exactly once.

    Args:
        lengths: tokens of each item.
        budget: padded tokens of one batch; an item longer than that is a batch of its own.
    """
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    batches: list[list[int]] = []
    width = 0
    for index in order:
        rounded = -(-lengths[index] // _BUCKET)
        if batches and rounded == width and (len(batches[-1]) + 1) * width * _BUCKET <= budget:
            batches[-1].append(index)
        else:
            batches.append([index])
            width = rounded
    return batches


def pad(
    items: Sequence[IntArray], pad_id: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return ids and attention mask, both (items, longest) int64."""
    longest = max(len(item) for item in items)
    ids = np.full((len(items), longest), pad_id, np.int64)
    mask = np.zeros((len(items), longest), np.int64)
    for row, item in enumerate(items):
        ids[row, : len(item)] = item
        mask[row, : len(item)] = 1
    return ids, mask
