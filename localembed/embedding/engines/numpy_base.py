"""Base of the engines in NumPy, which compute each batch when it is submitted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from localembed.types.arrays import VectorMatrix


class NumpyEngine:
    """A model on the CPU, without torch."""

    device = "cpu"
    precision = "fp32"
    pads_to = 0

    def collect(self, handles: Sequence[VectorMatrix], /) -> VectorMatrix:
        """Return the vectors of all batches."""
        return np.concatenate(handles)

    def is_out_of_memory(self, error: Exception, /) -> bool:
        """Return whether NumPy ran out of memory."""
        return isinstance(error, MemoryError)

    def free(self) -> None:
        """Do nothing: no memory is held."""
