"""BERT's forward pass on a CPU with torch's fused operations, several batches at a time.

It does three things that the sentence-transformers modules do not, measured on two cores with AMX
(docs/decisions/engines.md): oneDNN gets its weights in its own layout, once, and adds bias, GELU
and residual while it multiplies; every batch has a width that attention computes without a
remainder; and each core has its own batch, so that none waits for the other after every step.
"""

from __future__ import annotations

import platform
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Semaphore
from typing import TYPE_CHECKING, Any

import numpy as np

from localembed.core.panics import PanicError, quiet_panics
from localembed.embedding.engines.batching import ATTENTION_WIDTH, Padding, pad
from localembed.embedding.engines.bert import Bert
from localembed.embedding.engines.hardware import give_back_memory, is_out_of_memory
from localembed.embedding.engines.torch_model import prepare

if TYPE_CHECKING:
    from torch import Tensor

    from localembed.types.arrays import IntArray, VectorMatrix

_MAX_STREAMS = 8
"""Maximum batches at a time. Each takes memory; with more cores, a batch gets several."""
_BATCHES_BETWEEN_TRIMS = 16
"""Batches between heap trims. Batches of all shapes fragment the heap: 10,745 chunks took 977 MB,
826 with trims every 16 batches (2% of the time), 793 every four (8%)."""
_ROWS = 2048
"""Approximate tokens of one product, which the layout of the weights is chosen for."""


def streams(threads: int) -> int:
    """Return how many batches are computed at a time."""
    return min(threads, _MAX_STREAMS)


def is_available() -> bool:
    """Return whether this torch has oneDNN and its fused products; verified on x86 only."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return False
    import torch

    ops = torch.ops.mkldnn
    return bool(torch.backends.mkldnn.is_available()) and all(
        hasattr(ops, name) for name in ("_linear_pointwise", "_reorder_linear_weight")
    )


@dataclass(frozen=True, slots=True)
class _Dense:
    """A matrix in oneDNN's layout and a bias."""

    matrix: Tensor
    bias: Tensor


@dataclass(frozen=True, slots=True)
class _Norm:
    weight: Tensor
    bias: Tensor


@dataclass(frozen=True, slots=True)
class _Layer:
    """One layer of the transformer, with query, key and value in one matrix."""

    attend: _Dense
    out: _Dense
    out_norm: _Norm
    widen: _Dense
    narrow: _Dense
    narrow_norm: _Norm


class FusedEngine:
    """A BERT-like transformer in fp32 or bf16."""

    name = "fused"
    device = "cpu"
    pads_to = ATTENTION_WIDTH

    def __init__(self, bert: Bert, precision: str, *, normalize: bool, threads: int) -> None:
        """Load the weights of a model.

        Raises:
            ValueError: the file is incomplete, or tensors are missing.
            RuntimeError: torch cannot reorder the weights.
        """
        prepare()
        import torch

        self.precision = precision
        self._bert = bert
        self._normalize = normalize
        self._torch: Any = torch
        self._multiply: Any = torch.ops.mkldnn._linear_pointwise
        self._type = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
        self._load()
        count = streams(threads)
        self._pool = ThreadPoolExecutor(
            count, "embed", initializer=torch.set_num_threads, initargs=(threads // count,)
        )
        self._room = Semaphore(count + 1)
        self._begun = 0

    @property
    def dim(self) -> int:
        """Dimensions of a vector."""
        return int(self._words.shape[1])

    def submit(self, items: Sequence[IntArray], /) -> Future[VectorMatrix]:
        """Queue a batch once no other is waiting for a thread; see `collect`."""
        self._room.acquire()
        self._begun += 1
        if self._begun % _BATCHES_BETWEEN_TRIMS == 0:
            give_back_memory()
        handle = self._pool.submit(self._vectors, items)
        handle.add_done_callback(lambda _: self._room.release())
        return handle

    def collect(self, handles: Sequence[Future[VectorMatrix]], /) -> VectorMatrix:
        """Return (items in order, dim) float32; a row that did not fit into memory is NaN."""
        return np.concatenate([handle.result() for handle in handles])

    def is_out_of_memory(self, error: Exception, /) -> bool:
        """Return whether memory ran out; a batch handles that itself, in its own thread."""
        return is_out_of_memory(error)

    def free(self) -> None:
        """Return freed memory to the system."""
        give_back_memory()

    def compute(self, items: Sequence[IntArray]) -> VectorMatrix:
        """Return a batch's vectors, computed in this thread; raise if memory runs out."""
        with self._torch.inference_mode():
            vectors: VectorMatrix = self._pooled(items).numpy()
            return vectors

    def _vectors(self, items: Sequence[IntArray]) -> VectorMatrix:
        """Return a batch's vectors, computed in halves where memory runs out."""
        try:
            return self.compute(items)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        give_back_memory()
        if len(items) == 1:
            return np.full((1, self.dim), np.nan, np.float32)
        half = len(items) // 2
        return np.concatenate([self._vectors(items[:half]), self._vectors(items[half:])])

    def _pooled(self, items: Sequence[IntArray]) -> Tensor:
        """Return the batch's vectors, (items, dim) float32."""
        torch = self._torch
        ids, mask = pad(items, Padding(self._bert.pad_id, len(self._places)), self.pads_to)
        count, width = ids.shape
        seen = torch.from_numpy(mask)
        states = self._embedded(torch.from_numpy(ids))
        bias = None if mask.all() else self._bias(seen)
        for layer in self._layers:
            states = self._through(layer, states, count, width, bias)
        states = states.view(count, width, -1)
        if self._bert.pooling == "cls":
            pooled = states[:, 0].float()
        else:
            weights = seen.float()
            pooled = torch.bmm(weights[:, None], states.float())[:, 0]
            pooled = pooled / weights.sum(dim=1, keepdim=True)
        return torch.nn.functional.normalize(pooled, dim=-1) if self._normalize else pooled

    def _embedded(self, ids: Tensor) -> Tensor:
        """Return the normalised sum of word, position and type embeddings: (tokens, hidden)."""
        words = self._torch.nn.functional.embedding(ids, self._words)
        states = words + self._places[: ids.shape[1]]
        return self._norm(states.view(-1, self.dim), self._first_norm)

    def _bias(self, seen: Tensor) -> Tensor:
        """Return the attention bias that masks padding."""
        never = self._torch.finfo(self._type).min
        return ((1 - seen.float()) * never).to(self._type)[:, None, None, :]

    def _through(
        self, layer: _Layer, states: Tensor, count: int, width: int, bias: Tensor | None
    ) -> Tensor:
        """Return the states after one layer, (tokens, hidden)."""
        three = self._dense(layer.attend, states).view(count, width, 3, self._bert.heads, -1)
        query, key, value = three.permute(2, 0, 3, 1, 4)
        seen = self._torch.nn.functional.scaled_dot_product_attention(query, key, value, bias)
        seen = seen.transpose(1, 2).reshape(count * width, -1)
        states = self._norm(self._dense_onto(states, layer.out, seen), layer.out_norm)
        wide = self._multiply(states, layer.widen.matrix, layer.widen.bias, "gelu", [], "none")
        return self._norm(self._dense_onto(states, layer.narrow, wide), layer.narrow_norm)

    def _dense(self, dense: _Dense, states: Tensor) -> Tensor:
        return self._multiply(states, dense.matrix, dense.bias, "none", [], "")

    def _dense_onto(self, residual: Tensor, dense: _Dense, states: Tensor) -> Tensor:
        return self._multiply.binary(states, residual, dense.matrix, dense.bias, "add")

    def _norm(self, states: Tensor, norm: _Norm) -> Tensor:
        size, epsilon = (self.dim,), self._bert.epsilon
        normal = self._torch.nn.functional.layer_norm
        return normal(states, size, norm.weight, norm.bias, epsilon)

    def _load(self) -> None:
        from safetensors import SafetensorError, safe_open

        try:
            with quiet_panics(), safe_open(str(self._bert.weights), framework="pt") as file:
                self._read(_Weights(file, self._bert.prefix, self._torch, self._type))
        except (SafetensorError, PanicError) as error:
            raise ValueError(str(error)) from error

    def _read(self, weights: _Weights) -> None:
        bert = self._bert
        self._words = weights.read("embeddings.word_embeddings.weight")
        kind = weights.read("embeddings.token_type_embeddings.weight")[0]
        places = weights.read("embeddings.position_embeddings.weight")
        self._places = places[bert.first_position :] + kind
        self._first_norm = weights.norm("embeddings.LayerNorm")
        names = [f"encoder.layer.{number}." for number in range(bert.layers)]
        self._layers = [self._layer(weights, name) for name in names]

    def _layer(self, weights: _Weights, at: str) -> _Layer:
        def dense(*names: str) -> _Dense:
            matrix, bias = (
                weights.read(*(f"{at}{name}.{kind}" for name in names))
                for kind in ("weight", "bias")
            )
            return _Dense(self._torch.ops.mkldnn._reorder_linear_weight(matrix, _ROWS), bias)

        seen = "attention.self."
        return _Layer(
            attend=dense(f"{seen}query", f"{seen}key", f"{seen}value"),
            out=dense("attention.output.dense"),
            out_norm=weights.norm(f"{at}attention.output.LayerNorm"),
            widen=dense("intermediate.dense"),
            narrow=dense("output.dense"),
            narrow_norm=weights.norm(f"{at}output.LayerNorm"),
        )


@dataclass(frozen=True, slots=True)
class _Weights:
    """The tensors of a model's file, in the precision of the engine."""

    file: Any
    """Open safetensors file."""
    prefix: str
    torch: Any
    type: Any

    def read(self, *names: str) -> Tensor:
        """Return tensors, one above the other."""
        parts = [self.file.get_tensor(f"{self.prefix}{name}") for name in names]
        return self.torch.cat(parts).to(self.type)

    def norm(self, name: str) -> _Norm:
        """Return a layer's normalisation."""
        return _Norm(self.read(f"{name}.weight"), self.read(f"{name}.bias"))
