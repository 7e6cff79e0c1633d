"""BERT's forward pass in NumPy, one short text at a time, so that a query need not import torch.

Importing torch and sentence-transformers takes seconds, embedding a query milliseconds. The weights
are memory-mapped, so that only the rows that a query needs are read. Its vectors are compared with
those of the engine that embeds documents before they are trusted (see `local`).
"""

from __future__ import annotations

import mmap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from localembed.embedding.engines.bert import Bert
from localembed.embedding.engines.numpy_base import NumpyEngine
from localembed.embedding.model_shape import weights_header

if TYPE_CHECKING:
    import numpy.typing as npt

    from localembed.types.arrays import IntArray, Vector, VectorMatrix

    Matrix = npt.NDArray[np.float32]


class LightEngine(NumpyEngine):
    """A BERT-like transformer in fp32."""

    name = "light"

    def __init__(self, bert: Bert, *, normalize: bool) -> None:
        """Map the weights of a model.

        Raises:
            ValueError: the weights are not fp32.
        """
        self._tensors = _map_tensors(bert)
        self._epsilon = np.float32(bert.epsilon)
        self._bert = bert
        self._normalize = normalize

    def submit(self, items: Sequence[IntArray], /) -> VectorMatrix:
        """Return (items, dim) float32."""
        return np.stack([self._vector(item) for item in items])

    def _vector(self, ids: IntArray) -> Vector:
        states = self._embed(ids)
        for number in range(self._bert.layers):
            states = self._layer(states, f"encoder.layer.{number}.")
        pooled: Vector = states[0] if self._bert.pooling == "cls" else states.mean(axis=0)
        if self._normalize:
            pooled = pooled / max(float(np.linalg.norm(pooled)), 1e-12)
        return pooled

    def _embed(self, ids: IntArray) -> Matrix:
        """Return the normalised sum of word, position and type embeddings: (n, hidden)."""
        positions = np.arange(len(ids)) + self._bert.first_position
        words = self._tensors["embeddings.word_embeddings.weight"][ids]
        places = self._tensors["embeddings.position_embeddings.weight"][positions]
        kinds = self._tensors["embeddings.token_type_embeddings.weight"][0]
        return self._norm(words + places + kinds, "embeddings.LayerNorm")

    def _layer(self, states: Matrix, at: str) -> Matrix:
        """Return the states after one layer, (n, hidden)."""
        seen = self._attend(states, f"{at}attention.self.")
        out = self._dense(seen, f"{at}attention.output.dense")
        states = self._norm(states + out, f"{at}attention.output.LayerNorm")
        wide = _gelu(self._dense(states, f"{at}intermediate.dense"))
        out = self._dense(wide, f"{at}output.dense")
        return self._norm(states + out, f"{at}output.LayerNorm")

    def _attend(self, states: Matrix, at: str) -> Matrix:
        """Return the output of self-attention, (n, hidden)."""
        n, heads = len(states), self._bert.heads

        def split(name: str) -> Matrix:
            return self._dense(states, at + name).reshape(n, heads, -1).transpose(1, 0, 2)

        query, key, value = split("query"), split("key"), split("value")
        scores = query @ key.transpose(0, 2, 1) / np.float32(np.sqrt(query.shape[-1]))
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        seen: Matrix = (weights @ value).transpose(1, 0, 2).reshape(n, -1)
        return seen

    def _dense(self, states: Matrix, name: str) -> Matrix:
        weight, bias = self._tensors[f"{name}.weight"], self._tensors[f"{name}.bias"]
        dense: Matrix = states @ weight.T + bias
        return dense

    def _norm(self, states: Matrix, name: str) -> Matrix:
        centred = states - states.mean(axis=-1, keepdims=True)
        scale = np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + self._epsilon)
        weight, bias = self._tensors[f"{name}.weight"], self._tensors[f"{name}.bias"]
        normal: Matrix = centred / scale * weight + bias
        return normal


def _gelu(values: Matrix) -> Matrix:
    """Return x times the cumulative normal distribution at x.

    The error function is Abramowitz and Stegun's 7.1.26, with an error of at most 1.5e-7.
    """
    size = np.abs(values) * np.float32(0.7071067811865476)
    t = 1 / (1 + np.float32(0.3275911) * size)
    series = t * (
        0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429)))
    )
    erf = np.sign(values) * (1 - series * np.exp(-size * size))
    gelu: Matrix = np.float32(0.5) * values * (1 + erf)
    return gelu


def _map_tensors(bert: Bert) -> dict[str, Matrix]:
    """Map the fp32 tensors of a safetensors file, named without the prefix.

    Raises:
        ValueError: a tensor is of another type.
    """
    with bert.weights.open("rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    header, start = weights_header(bert.weights)
    return {
        name.removeprefix(bert.prefix): _mapped(data, start, entry)
        for name, entry in header.items()
        if name.startswith(bert.prefix) and name != "__metadata__" and entry["dtype"] != "I64"
    }


def _mapped(data: mmap.mmap, start: int, entry: Mapping[str, Any]) -> Matrix:
    if entry["dtype"] != "F32":
        message = f"weights of type {entry['dtype']}"
        raise ValueError(message)
    begin, end = entry["data_offsets"]
    flat = np.frombuffer(data, np.float32, (end - begin) // 4, start + begin)
    return flat.reshape(entry["shape"])
