"""Batches without padding on a CUDA GPU: all texts of a batch in one row, separated by attention.

The features are those that sentence-transformers passes to flash attention without padding
(`DataCollatorWithFlattening` in transformers); the attention is torch's own `varlen_attn`, so that
no extra wheel is needed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from localembed.embedding.engines.batching import Padding
from localembed.embedding.engines.torch import TorchEngine

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import Tensor

    from localembed.types.arrays import IntArray

_NAME = "localembed_packed"
FAMILIES = frozenset({"bert", "roberta", "xlm-roberta"})
_OFFSET_POSITIONS = frozenset({"roberta", "xlm-roberta"})
"""Families whose positions start after the padding id."""

Attention = Callable[[Any, Any, Any, Any, int, float], Any]
"""(query, key, value (tokens, heads, head size), bounds, longest, scale) → like query."""


class PackedEngine(TorchEngine):
    """A transformer whose input is one long row of texts."""

    name = "torch packed"

    def __init__(
        self,
        model: SentenceTransformer,
        device: str,
        precision: str,
        *,
        padding: Padding,
        normalize: bool,
        attention: Attention | None = None,
    ) -> None:
        """Register the attention with transformers and set it on the model."""
        super().__init__(model, device, precision, padding=padding, normalize=normalize)
        self.pads_to = 0
        from transformers import AttentionInterface

        AttentionInterface.register(_NAME, _interface(attention or varlen_attention))
        transformer = model[0].auto_model
        transformer.set_attn_implementation(_NAME)
        offset = transformer.config.model_type in _OFFSET_POSITIONS
        self._first_position = padding.pad_id + 1 if offset else 0

    def submit(self, items: Sequence[IntArray], /) -> Tensor:
        """Return the batch's vectors as a tensor on the device, (items, dim) float32."""
        features = self._features(items)
        with self._torch.inference_mode():
            return self._pooled(features)

    def _features(self, items: Sequence[IntArray]) -> dict[str, Any]:
        lengths = np.array([len(item) for item in items], np.int64)
        bounds = np.concatenate(([0], np.cumsum(lengths))).astype(np.int32)
        ids = np.concatenate(items).astype(np.int64)
        within = np.arange(len(ids)) - np.repeat(bounds[:-1], lengths)
        cu_seq_lens = self._moved(bounds)
        longest = int(lengths.max())
        return {
            "input_ids": self._moved(ids[None]),
            "position_ids": self._moved((within + self._first_position)[None]),
            "seq_idx": self._moved(
                np.repeat(np.arange(len(items)), lengths).astype(np.int32)[None]
            ),
            "cu_seq_lens_q": cu_seq_lens,
            "cu_seq_lens_k": cu_seq_lens,
            "max_length_q": longest,
            "max_length_k": longest,
        }


def varlen_attention(
    query: Tensor, key: Tensor, value: Tensor, bounds: Tensor, longest: int, scale: float
) -> Tensor:
    """Attend within each text with torch's variable-length flash attention; CUDA only."""
    from torch.nn.attention.varlen import varlen_attn

    # Older versions support only the usual scale and have no argument for it.
    usual = math.isclose(scale, query.shape[-1] ** -0.5)
    options = {} if usual else {"scale": scale}
    return varlen_attn(query, key, value, bounds, bounds, longest, longest, **options)


def _interface(attention: Attention) -> Callable[..., tuple[Tensor, None]]:
    """Return an attention as transformers calls it, for (1, heads, tokens, head size) tensors."""

    def attend(
        _module: object,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        _mask: None,
        scaling: float | None = None,
        **features: Any,  # noqa: ANN401 - whatever the model passes
    ) -> tuple[Tensor, None]:
        scale = query.shape[-1] ** -0.5 if scaling is None else scaling
        query, key, value = (part[0].transpose(0, 1) for part in (query, key, value))
        out = attention(
            query, key, value, features["cu_seq_lens_q"], features["max_length_q"], scale
        )
        return out[None], None

    return attend


def is_available() -> bool:
    """Return whether this torch has attention over texts of different lengths (2.10 and later)."""
    import importlib.util

    try:
        return importlib.util.find_spec("torch.nn.attention.varlen") is not None
    except ModuleNotFoundError:
        return False
