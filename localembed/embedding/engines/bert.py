"""BERT-like models, for the engines that implement their forward pass: parameters from the folder.

The architecture is the published one (Devlin et al. 2018); RoBERTa (Liu et al. 2019) numbers
positions from the padding id on.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from localembed.embedding.model_shape import ModelShape, weights_header

FAMILIES = ("bert", "roberta", "xlm-roberta")
POOLINGS = ("mean", "cls")
_WORDS = "embeddings.word_embeddings.weight"


@dataclass(frozen=True, slots=True)
class Bert:
    """Parameters of the forward pass besides the weights."""

    weights: Path
    """Path of the safetensors file."""
    prefix: str
    """Prefix of the tensor names, before `embeddings.`."""
    layers: int
    heads: int
    epsilon: float
    """Epsilon of layer normalisation."""
    first_position: int
    """Position of a text's first token."""
    pad_id: int
    pooling: str
    """mean or cls."""


def is_bert(shape: ModelShape) -> bool:
    """Return whether this is a plain model of a family whose forward pass is implemented here."""
    return shape.is_plain and shape.family in FAMILIES and shape.pooling in POOLINGS


def read_bert(folder: Path, shape: ModelShape) -> Bert:
    """Read the parameters of a model for which `is_bert` holds.

    Raises:
        OSError: a file is missing.
        ValueError: the model differs from BERT.
    """
    config = json.loads((folder / "config.json").read_bytes())
    positions = config.get("position_embedding_type") or "absolute"
    if config.get("hidden_act") != "gelu" or positions != "absolute":
        message = "activation or position embeddings differ from BERT's"
        raise ValueError(message)
    weights = folder / "model.safetensors"
    tensors, _ = weights_header(weights)
    prefix = next((name.removesuffix(_WORDS) for name in tensors if name.endswith(_WORDS)), None)
    if prefix is None:
        message = f"{weights} contains no word embeddings"
        raise ValueError(message)
    return Bert(
        weights=weights,
        prefix=prefix,
        layers=shape.layers,
        heads=shape.heads,
        epsilon=float(config.get("layer_norm_eps", 1e-12)),
        first_position=0 if shape.family == "bert" else shape.pad_id + 1,
        pad_id=shape.pad_id,
        pooling=shape.pooling or "mean",
    )
