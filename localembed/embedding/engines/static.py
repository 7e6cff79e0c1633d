"""Static models in NumPy: a text's vector is the mean of its tokens' vectors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from localembed.core.panics import quiet_panics
from localembed.embedding.engines.numpy_base import NumpyEngine
from localembed.errors import ModelChangedError

if TYPE_CHECKING:
    from localembed.types.arrays import IntArray, VectorMatrix


class StaticEngine(NumpyEngine):
    """The embedding table of a sentence-transformers StaticEmbedding."""

    name = "static"

    def __init__(self, weights: Path, *, normalize: bool) -> None:
        """Read the table.

        Raises:
            ModelChangedError: the weights are missing or contain no embedding table.
        """
        self._table = _read_table(weights)
        self._normalize = normalize

    @property
    def dim(self) -> int:
        """Dimensions of a vector."""
        return int(self._table.shape[1])

    def submit(self, items: Sequence[IntArray], /) -> VectorMatrix:
        """Return the batch's vectors, (items, dim) float32; zeros for an item without tokens."""
        ones = np.ones(max(map(len, items), default=0), np.float32)
        # A product with ones adds rows in half the time of a sum over them.
        rows = [ones[: len(item)] @ self._table.take(item, axis=0) for item in items]
        sums = np.concatenate(rows).reshape(len(items), -1)
        lengths = np.array([[max(1, len(item))] for item in items], np.float32)
        means: VectorMatrix = np.divide(sums, lengths, dtype=np.float32)
        if self._normalize:
            norms = np.linalg.norm(means, axis=1, keepdims=True)
            means /= np.maximum(norms, np.finfo(np.float32).tiny)
        return means


def _read_table(path: Path) -> VectorMatrix:
    """Return (vocabulary, dim) float32.

    The second format is model2vec's: rows shared by a mapping and weighted by token, as
    `StaticEmbedding.load` in sentence-transformers reads it.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        with quiet_panics():
            tensors = load_file(path)
    # TypeError, KeyError: a type that NumPy does not have. RuntimeError: a panic.
    except (OSError, SafetensorError, TypeError, KeyError, ValueError, RuntimeError) as error:
        message = f"The weights {path} cannot be loaded: {error}. Put the published file back."
        raise ModelChangedError(message) from error
    if "embedding.weight" in tensors:
        whole: VectorMatrix = tensors["embedding.weight"].astype(np.float32, copy=False)
        return whole
    if "embeddings" not in tensors:
        message = f"The weights {path} contain no embedding table of a static model."
        raise ModelChangedError(message)
    table: VectorMatrix = tensors["embeddings"].astype(np.float32, copy=False)
    if "mapping" in tensors:
        table = table[tensors["mapping"]]
    if "weights" in tensors:
        table = table * tensors["weights"].astype(np.float32)[:, None]
    return table
