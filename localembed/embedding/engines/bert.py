"""BERT's kind of models, for the engines that know their forward pass: what a folder says of one.

The published architecture (Devlin and others 2018); RoBERTa (Liu and others 2019) counts positions
from the id of padding on.
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
    """What its pass takes besides the weights."""

    weights: Path
    """The safetensors file."""
    prefix: str
    """What stands before `embeddings.` in the names of its tensors."""
    layers: int
    heads: int
    epsilon: float
    """Of layer normalisation."""
    first_position: int
    pad_id: int
    pooling: str
    """mean or cls."""


def is_bert(shape: ModelShape) -> bool:
    """Tell whether this is a plain model of a family whose pass is known here."""
    return shape.is_plain and shape.family in FAMILIES and shape.pooling in POOLINGS


def read_bert(folder: Path, shape: ModelShape) -> Bert:
    """Return what a folder says of a model for which `is_bert` holds.

    Raises:
        OSError: a file is missing.
        ValueError: it is not quite such a model.
    """
    config = json.loads((folder / "config.json").read_bytes())
    positions = config.get("position_embedding_type") or "absolute"
    if config.get("hidden_act") != "gelu" or positions != "absolute":
        message = "another activation or other positions than BERT's"
        raise ValueError(message)
    weights = folder / "model.safetensors"
    tensors, _ = weights_header(weights)
    prefix = next((name.removesuffix(_WORDS) for name in tensors if name.endswith(_WORDS)), None)
    if prefix is None:
        message = f"{weights} holds no embeddings of words"
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
