"""The interface between batches and the engines that compute them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from localembed.types.arrays import IntArray, VectorMatrix


class Engine(Protocol):
    """A loaded model on one device. Batches are submitted one by one and collected together."""

    name: str
    """fused, torch, torch compiled, torch packed, openvino, static, or light (the NumPy engine)."""
    device: str
    precision: str
    """fp32, bf16 or fp16; pooling and normalisation are always fp32."""
    pads_to: int
    """Multiple that a batch's width is rounded up to (see `batching.padded_lengths`): 1 for the
    length of its longest item, 0 where nothing is padded."""

    def submit(self, items: Sequence[IntArray], /) -> Any:  # noqa: ANN401 - the engine's handle
        """Start one batch of ids with their special tokens; raise if memory runs out."""

    def collect(self, handles: Sequence[Any], /) -> VectorMatrix:
        """Wait for all batches and return (items in order, dim) float32."""

    def is_out_of_memory(self, error: Exception, /) -> bool:
        """Return whether a smaller batch may succeed."""

    def free(self) -> None:
        """Release unused device memory."""
