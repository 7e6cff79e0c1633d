"""OpenVINO on the CPU: about as exact as torch, faster, and ready without importing torch.

A model is converted once, in a separate process (see `openvino_convert`).
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from localembed.embedding.engines.batching import ATTENTION_WIDTH, Padding, pad

if TYPE_CHECKING:
    import numpy.typing as npt
    from openvino import InferRequest

    from localembed.types.arrays import IntArray, VectorMatrix

POOLINGS = ("mean", "cls", "lasttoken")


def is_installed() -> bool:
    """Return whether the extra is installed, without importing it."""
    return importlib.util.find_spec("openvino") is not None


def import_openvino() -> Any:  # noqa: ANN401 - a module
    """Import the library without its telemetry package, which reports use over the network."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


def converted_path(folder: Path, model_id: str) -> Path:
    """Return the path of a model converted by the installed version of OpenVINO."""
    return folder / "openvino" / f"{model_id}-{version('openvino')}.xml"


class OpenVinoEngine:
    """A converted transformer, several batches at a time."""

    name = "openvino"
    device = "cpu"
    pads_to = ATTENTION_WIDTH

    def __init__(
        self,
        converted: Path,
        precision: str,
        *,
        pooling: str,
        normalize: bool,
        padding: Padding,
        threads: int,
    ) -> None:
        """Load a converted model and compile it for this CPU."""
        openvino = import_openvino()
        self.precision = precision
        self._pooling = pooling
        self._normalize = normalize
        self._padding = padding
        hints = {
            "INFERENCE_PRECISION_HINT": {"fp32": "f32", "bf16": "bf16"}[precision],
            "PERFORMANCE_HINT": "THROUGHPUT",
            "INFERENCE_NUM_THREADS": str(threads),
        }
        compiled = openvino.Core().compile_model(str(converted), "CPU", hints)
        self._queue: Any = openvino.AsyncInferQueue(compiled)
        self._queue.set_callback(self._take)

    def submit(self, items: Sequence[IntArray], /) -> list[VectorMatrix]:
        """Start a batch; its vectors, (items, dim) float32, are appended to the returned list."""
        ids, mask = pad(items, self._padding, self.pads_to)
        vectors: list[VectorMatrix] = []
        self._queue.start_async({"input_ids": ids, "attention_mask": mask}, (mask, vectors))
        return vectors

    def collect(self, handles: Sequence[list[VectorMatrix]], /) -> VectorMatrix:
        """Wait for all batches and return their vectors."""
        self._queue.wait_all()
        return np.concatenate([vectors for handle in handles for vectors in handle])

    def is_out_of_memory(self, error: Exception, /) -> bool:
        """Return whether an allocation failed."""
        return isinstance(error, MemoryError) or "bad_alloc" in str(error)

    def free(self) -> None:
        """Do nothing: no memory could be released."""

    def _take(
        self, request: InferRequest, batch: tuple[npt.NDArray[np.int64], list[VectorMatrix]]
    ) -> None:
        mask, vectors = batch
        hidden = request.get_output_tensor(0).data
        pooled = pool(hidden, mask, self._pooling)
        if self._normalize:
            norms = np.linalg.norm(pooled, axis=1, keepdims=True)
            pooled /= np.maximum(norms, np.finfo(np.float32).tiny)
        vectors.append(pooled)


def pool(
    hidden: npt.NDArray[np.float32], mask: npt.NDArray[np.int64], pooling: str
) -> VectorMatrix:
    """Pool (items, tokens, dim) to (items, dim) float32 as sentence-transformers does."""
    rows = np.arange(len(mask))
    if pooling == "cls":
        pooled: VectorMatrix = hidden[:, 0].copy()
    elif pooling == "lasttoken":
        pooled = hidden[rows, mask.sum(axis=1) - 1].copy()
    else:
        weights = mask.astype(np.float32)
        pooled = np.matmul(weights[:, None, :], hidden)[:, 0]
        pooled /= weights.sum(axis=1, keepdims=True)
    return pooled
