"""The shape of a model, read from its folder without loading it."""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_LAYER = re.compile(r"(?:^|\.)layers?\.(\d+)\.")


@dataclass(frozen=True, slots=True)
class ModelShape:
    """Sizes that determine the memory and arithmetic of a token."""

    modules: tuple[str, ...]
    """Class names of the sentence-transformers modules, in order."""
    family: str
    """Architecture as transformers names it, such as bert; empty if there is none."""
    hidden: int
    intermediate: int
    layers: int
    heads: int
    pad_id: int
    matmul_weights: int
    """Parameters in the matrices that every token is multiplied with."""
    stored_layers: int
    """Layers with weights in the file; 0 if it names none. Missing ones would be random."""
    pooling: str | None
    """mean, cls, lasttoken or another; None if the folder does not say."""
    leaves_prompt_out: bool
    """Whether pooling excludes the prompt's tokens."""

    @property
    def is_static(self) -> bool:
        """Whether a text's vector is the mean of its tokens' vectors."""
        return self.modules in (("StaticEmbedding",), ("StaticEmbedding", "Normalize"))

    @property
    def normalizes(self) -> bool:
        """Whether the model's own last module gives vectors length 1."""
        return "Normalize" in self.modules

    @property
    def is_plain(self) -> bool:
        """Whether only pooling and normalisation follow the transformer."""
        return self.modules in (
            ("Transformer", "Pooling"),
            ("Transformer", "Pooling", "Normalize"),
        )

    def bytes_per_token(self, longest: int) -> int:
        """Estimate the memory of a padded token in fp32, at the peak of a layer.

        Seven times the hidden state, twice the intermediate layer and one attention row per head.
        """
        return 4 * (7 * self.hidden + 2 * self.intermediate + self.heads * longest)

    def flops_per_token(self, tokens: float) -> float:
        """Return the floating-point operations for one token of a text of `tokens` tokens."""
        return 2 * self.matmul_weights + 4 * tokens * self.hidden * self.layers


def read_shape(folder: Path) -> ModelShape:
    """Return the shape of the model in a folder; sizes that are not given are 0."""
    config = _object(folder / "config.json")
    listed = _json(folder / "modules.json", [])
    modules = [m for m in listed if isinstance(m, dict)] if isinstance(listed, list) else []
    poolings = [_object(path) for path in sorted(folder.glob("*_Pooling/config.json"))]

    tensors, _ = weights_header(folder / "model.safetensors")

    def number(*names: str) -> int:
        values = (config.get(name) for name in names)
        return next((value for value in values if isinstance(value, int)), 0)

    return ModelShape(
        modules=tuple(str(module.get("type", "")).rpartition(".")[2] for module in modules),
        family=str(config.get("model_type", "")),
        hidden=number("hidden_size", "dim", "d_model"),
        intermediate=number("intermediate_size", "hidden_dim", "d_ff"),
        layers=number("num_hidden_layers", "n_layers", "num_layers"),
        heads=number("num_attention_heads", "n_heads", "num_heads"),
        pad_id=number("pad_token_id"),
        pooling=_pooling(poolings[0]) if poolings else None,
        leaves_prompt_out=any(pooling.get("include_prompt") is False for pooling in poolings),
        matmul_weights=_matmul_weights(tensors),
        stored_layers=_stored_layers(tensors),
    )


def module_file(folder: Path, name: str) -> Path:
    """Return a file of a model: the one in its folder, else the one of its first module."""
    direct = folder / name
    inner = next(iter(sorted(folder.glob(f"0_*/{name}"))), direct)
    return direct if direct.exists() else inner


def weights_header(weights: Path) -> tuple[dict[str, Any], int]:
    """Return the header of a safetensors file and the byte at which its tensors start.

    Nothing and 0 for another kind of file, or one that is truncated in its header.
    """
    try:
        with weights.open("rb") as file:
            length = struct.unpack("<Q", file.read(8))[0]
            header = json.loads(file.read(min(length, weights.stat().st_size)))
    except (OSError, ValueError, RecursionError, struct.error):
        return {}, 0
    if not isinstance(header, dict):
        return {}, 0
    tensors = {name: tensor for name, tensor in header.items() if name != "__metadata__"}
    return (tensors, 8 + length) if all(map(_is_tensor, tensors.values())) else ({}, 0)


def _is_tensor(entry: object) -> bool:
    """Tell whether an entry of a header has the form of a tensor's."""
    if not isinstance(entry, dict) or not isinstance(entry.get("dtype"), str):
        return False
    shape, offsets = entry.get("shape"), entry.get("data_offsets")
    if not isinstance(shape, list) or not isinstance(offsets, list) or len(offsets) != 2:
        return False
    return all(type(number) is int and number >= 0 for number in (*shape, *offsets))


def _pooling(config: Mapping[str, Any]) -> str | None:
    """Return the pooling mode from either format of the file."""
    if "pooling_mode" in config:
        return str(config["pooling_mode"])
    named = [name for name, value in config.items() if name.startswith("pooling_mode_") and value]
    words = [name.removeprefix("pooling_mode_").removesuffix("_tokens") for name in named]
    return "+".join(word.removesuffix("_token") for word in words) or None


def _matmul_weights(tensors: Mapping[str, Any]) -> int:
    """Count the parameters of all matrices except the embeddings."""
    return sum(
        math.prod(tensor["shape"])
        for name, tensor in tensors.items()
        if "embed" not in name and len(tensor.get("shape", ())) == 2 and "pooler" not in name
    )


def _stored_layers(tensors: Mapping[str, Any]) -> int:
    """Count the layers that have weights."""
    return len({match[1] for name in tensors if (match := _LAYER.search(name))})


def _json(path: Path, missing: Any) -> Any:  # noqa: ANN401 - whatever the file contains
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return missing


def _object(path: Path) -> Mapping[str, Any]:
    value = _json(path, {})
    return value if isinstance(value, dict) else {}
