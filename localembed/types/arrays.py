"""Array types shared between packages, for type checkers only: NumPy is not imported."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    IntArray = npt.NDArray[np.int32]
    """(n,) int32."""
    Vector = npt.NDArray[np.float32]
    """(dim,) float32."""
    VectorMatrix = npt.NDArray[np.float32]
    """(n, dim) float32."""
