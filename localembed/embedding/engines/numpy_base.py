"""What engines in NumPy have in common: each batch is computed when it is begun."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from localembed.types.arrays import VectorMatrix


class NumpyEngine:
    """A model on the processor, without torch."""

    device = "cpu"
    precision = "fp32"
    pads_to = 0

    def collect(self, handles: Sequence[VectorMatrix], /) -> VectorMatrix:
        """Return all batches' vectors."""
        return np.concatenate(handles)

    def is_out_of_memory(self, error: Exception, /) -> bool:
        """Tell whether NumPy found no room."""
        return isinstance(error, MemoryError)

    def free(self) -> None:
        """Hold nothing."""
