"""Padded batches in torch, eager or compiled, on a CPU or a GPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from localembed.embedding.engines.batching import ATTENTION_WIDTH, Padding, pad
from localembed.embedding.engines.hardware import give_back_memory, is_out_of_memory

if TYPE_CHECKING:
    import numpy.typing as npt
    from sentence_transformers import SentenceTransformer
    from torch import Tensor

    from localembed.types.arrays import IntArray, VectorMatrix

_WARM_UP = (40, 24)
"""Widths of the warm-up batches: two, so that the compiler takes neither for fixed."""
_BATCHES_BETWEEN_TRIMS = 4
"""Batches between heap trims on a CPU. Batches of all shapes fragment the heap: 900 texts took the
process from 450 to 890 MB; with trims, 2 ms each, and batches of half the size to 715."""


class TorchEngine:
    """The sentence-transformers modules, called one after the other."""

    name = "torch"

    def __init__(
        self,
        model: SentenceTransformer,
        device: str,
        precision: str,
        *,
        padding: Padding,
        normalize: bool,
    ) -> None:
        """Wrap a loaded SentenceTransformer whose transformer is in `precision`.

        Args:
            model: the loaded model.
            device: the device it is on.
            precision: fp32, bf16 or fp16 for the transformer.
            padding: how batches are padded.
            normalize: whether to give vectors length 1 after the model's own modules.
        """
        import torch

        self.device = device
        self.precision = precision
        self.model = model
        self._padding = padding
        self._normalize = normalize
        self._torch: Any = torch
        self._on_gpu = device != "cpu"
        self.pads_to = 1 if self._on_gpu else ATTENTION_WIDTH
        self._batches = 0

    def compile(self) -> bool:
        """Fuse the transformer's small operations in half a minute; return whether it worked.

        An installed compiler may still fail at the first batch; then the model stays as it is.
        """
        import torch._inductor.config as inductor

        inner = self.model[0].auto_model
        plain = inner.forward
        inductor.freezing = True
        inner.forward = self._torch.compile(plain, dynamic=True)
        try:
            for length in _WARM_UP:
                self.submit([np.ones(length, np.int32), np.ones(length - 1, np.int32)])
        except Exception:  # noqa: BLE001 - whatever a compiler or its toolchain raises
            inner.forward = plain
            return False
        self.name = "torch compiled"
        return True

    def submit(self, items: Sequence[IntArray], /) -> Tensor:
        """Return the batch's vectors as a tensor on the device, (items, dim) float32."""
        if len(items) == 1 and self.name == "torch compiled":
            # A batch of one is a separate shape to the compiler, another half a minute.
            return self.submit([*items, *items])[:1]
        ids, mask = pad(items, self._padding, self.pads_to)
        features = {"input_ids": self._moved(ids), "attention_mask": self._moved(mask)}
        self._batches += 1
        if not self._on_gpu and self._batches % _BATCHES_BETWEEN_TRIMS == 0:
            give_back_memory()
        with self._torch.inference_mode():
            return self._pooled(features)

    def collect(self, handles: Sequence[Tensor], /) -> VectorMatrix:
        """Return the vectors of all batches; waits for a GPU once."""
        vectors: VectorMatrix = self._torch.cat(list(handles)).cpu().numpy()
        return vectors

    def is_out_of_memory(self, error: Exception, /) -> bool:
        """Return whether torch or one of its libraries ran out of memory."""
        return is_out_of_memory(error)

    def free(self) -> None:
        """Release the memory that the allocator caches."""
        if self._on_gpu and self._torch.cuda.is_available():
            self._torch.cuda.empty_cache()
        give_back_memory()

    def _pooled(self, features: dict[str, Tensor]) -> Tensor:
        """Run the transformer in its precision and everything after it in fp32."""
        for position, module in enumerate(self.model):
            features = module(features)
            if position == 0:
                features["token_embeddings"] = features["token_embeddings"].float()
        pooled = features["sentence_embedding"].float()
        return self._torch.nn.functional.normalize(pooled, dim=-1) if self._normalize else pooled

    def _moved(self, array: npt.NDArray[np.integer[Any]]) -> Tensor:
        """Copy an array to the device; a GPU copies asynchronously from pinned memory."""
        tensor = self._torch.from_numpy(array)
        if not self._on_gpu:
            return tensor
        if self.device.startswith("cuda"):
            tensor = tensor.pin_memory()
        return tensor.to(self.device, non_blocking=True)
