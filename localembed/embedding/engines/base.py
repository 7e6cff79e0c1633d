"""The seam between batches and what computes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from localembed.types.arrays import IntArray, VectorMatrix


class Engine(Protocol):
    """A loaded model on one device. Batches are begun one by one and collected together."""

    name: str
    """fused, torch, torch compiled, torch packed, openvino, light or static."""
    device: str
    precision: str
    """fp32, bf16 or fp16; pooling and normalisation are always fp32."""
    pads_to: int
    """To a multiple of what all items of a batch are padded (see `batching.padded_lengths`); 1 for
    the longest's own length, 0 where nothing is padded."""

    def submit(self, items: Sequence[IntArray], /) -> Any:  # noqa: ANN401 - its own handle
        """Begin one batch of framed ids; where memory runs out, raise."""

    def collect(self, handles: Sequence[Any], /) -> VectorMatrix:
        """Return (items of all batches in order, dim) float32, waiting for them."""

    def is_out_of_memory(self, error: Exception, /) -> bool:
        """Tell whether a smaller batch may succeed."""

    def free(self) -> None:
        """Give back what memory the device holds without need."""
