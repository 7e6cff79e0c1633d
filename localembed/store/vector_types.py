"""Vectors in the type in which a table stores them, and those that this type cannot hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from localembed.types.arrays import VectorMatrix

_MIN_LENGTH, _MAX_LENGTH = 1e-18, 1e18
"""Lengths that Lance can compare: it squares them in float32, where 3e19 makes every cosine NaN."""
_SAFE_LENGTH = 0.01
"""Length from which the direction of a vector of any size survives float16: cosines of 0.99999."""
_MIN_COSINE = 0.999
"""Minimum cosine between a vector and what is stored of it; `doctor` demands as much. In float16, a
vector of 384 dimensions falls below it at a length of 1e-5, where its values are subnormal."""
_ROWS = 1024


def as_stored(vectors: VectorMatrix, vector_type: str) -> npt.NDArray[np.floating]:
    """Return vectors as a table of this type stores them; too large values become infinite."""
    with np.errstate(over="ignore"):
        return vectors.astype(np.float16 if vector_type == "float16" else np.float32)


def unstorable(vectors: VectorMatrix, vector_type: str) -> dict[int, str]:
    """Return row → reason for vectors that must not be stored; rows of NaN have other reasons.

    Args:
        vectors: (n, dim) float32.
        vector_type: float16 or float32.
    """
    found: dict[int, str] = {}
    for begin in range(0, len(vectors), _ROWS):
        part = vectors[begin : begin + _ROWS].astype(np.float64)
        lengths = np.sqrt(np.einsum("ij,ij->i", part, part))
        within = np.abs(part).max(axis=1, initial=0) < np.finfo(np.float16).max
        doubtful = np.flatnonzero(~(within & (lengths >= _SAFE_LENGTH)))
        for row in doubtful.tolist():
            reason = _reason(vectors[begin + row], float(lengths[row]), vector_type)
            if reason:
                found[begin + row] = reason
    return found


def _reason(vector: npt.NDArray[np.float32], length: float, vector_type: str) -> str:
    """Return why one vector must not be stored, "" if it can be."""
    if not np.isfinite(vector).all():
        return "the model returned a vector that is not finite"
    if not vector.any():
        return "the model returned a vector of zeros"
    if not _MIN_LENGTH <= length <= _MAX_LENGTH:
        return f"the model returned a vector of length {length:.1e}, which cannot be compared"
    stored = as_stored(vector, vector_type).astype(np.float64)
    if np.isfinite(stored).all():
        cosine = stored @ vector / (np.linalg.norm(stored) * length or 1.0)
        if cosine >= _MIN_COSINE:
            return ""
    size = "large" if length > 1 else "small"
    return f"its vector has values too {size} for {vector_type}; use --vector-type float32"
