"""The sentence-transformers backend: pre-cut token ids in, pooled vectors out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from localembed.embedding.batching import cut_batches, pad
from localembed.embedding.tokenizer import FastTokenizer
from localembed.errors import ModelChangedError, UsageError
from localembed.types import ModelSpec, Tokenizer

if TYPE_CHECKING:
    from localembed.types import IntArray, Vector, VectorMatrix

_BATCH_TOKENS = 4096
"""Padded tokens of one forward pass: of 512-8,192 the fastest on two cores with AMX."""

_OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_UPDATE_CHECK": "1",
    "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
    "DO_NOT_TRACK": "1",
    "TOKENIZERS_PARALLELISM": "true",
    "TRANSFORMERS_VERBOSITY": "error",
}


def load_tokenizer(_spec: ModelSpec, folder: Path) -> Tokenizer:
    """Return the model's tokenizer (see `embedding.load_tokenizer`)."""
    return FastTokenizer(folder)


def load_embedder(spec: ModelSpec, folder: Path, precision: str) -> SentenceTransformerEmbedder:
    """Return the loaded model (see `embedding.load_embedder`)."""
    return SentenceTransformerEmbedder(spec, folder, precision)


class SentenceTransformerEmbedder:
    """A sentence-transformers model, fed with ids so that nothing is tokenised twice."""

    def __init__(self, spec: ModelSpec, folder: Path, precision: str) -> None:
        """Load the model from a local folder; the network is never asked.

        Raises:
            ModelChangedError: the files do not load, or contradict the spec.
            UsageError: bf16 is asked for and this processor has no instructions for it.
        """
        self.spec = spec
        self._tokenizer = FastTokenizer(folder)
        os.environ.update(_OFFLINE)
        import torch

        dtype = _dtype(precision, torch)
        self._torch: Any = torch
        self._model = _load(spec, folder, dtype)
        found = self._model.get_embedding_dimension()
        if found != spec.dim:
            message = (
                f"Model '{spec.name}' gives vectors of {found} numbers, models.toml says "
                f"{spec.dim}. Mend the key 'dim'."
            )
            raise ModelChangedError(message)
        tokenizer = self._model.tokenizer
        self._pad_id = int(tokenizer.pad_token_id or 0)
        self._before, self._after = _special_ids(tokenizer)
        self._prompt_ids = self._tokenizer([spec.document_prompt])[0].ids
        self._query_prompt = spec.query_prompt

    def embed_documents(self, token_ids: Sequence[IntArray], /) -> VectorMatrix:
        """Return (n, dim) float32, row i for item i; a row that is not finite has failed."""
        inputs = [self._framed(ids) for ids in token_ids]
        vectors = np.full((len(inputs), self.spec.dim), np.nan, np.float32)
        for batch in cut_batches([len(item) for item in inputs], _BATCH_TOKENS):
            vectors[batch] = self._forward([inputs[index] for index in batch])
        return vectors

    def embed_query(self, text: str, /) -> Vector:
        """Return (dim,) float32; of a query longer than the model only the beginning counts."""
        ids = self._tokenizer([self._query_prompt + text])[0].ids
        room = self.spec.max_tokens - len(self._before) - len(self._after)
        framed = np.concatenate((self._before, ids[:room], self._after))
        row: Vector = self._forward([framed])[0]
        return row

    def _framed(self, ids: IntArray) -> IntArray:
        return np.concatenate((self._before, self._prompt_ids, ids, self._after))

    def _forward(self, items: Sequence[IntArray]) -> VectorMatrix:
        """Return the vectors of one padded batch, pooled and normalised in fp32."""
        torch = self._torch
        ids, mask = pad(items, self._pad_id)
        features = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
        with torch.inference_mode():
            pooled = _pooled(self._model, features)
            if self.spec.normalize:
                pooled = torch.nn.functional.normalize(pooled, dim=-1)
            vectors: VectorMatrix = pooled.cpu().numpy()
        return vectors


def _pooled(model: Any, features: dict[str, Any]) -> Any:  # noqa: ANN401 - torch types
    """Run the transformer in its own precision, and everything behind it in fp32."""
    for position, module in enumerate(model):
        features = module(features)
        if position == 0:
            features["token_embeddings"] = features["token_embeddings"].float()
    return features["sentence_embedding"].float()


def _load(spec: ModelSpec, folder: Path, dtype: Any) -> Any:  # noqa: ANN401 - torch types
    from sentence_transformers import SentenceTransformer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    try:
        model = SentenceTransformer(
            str(folder),
            device="cpu",
            local_files_only=True,
            trust_remote_code=False,
            model_kwargs={"use_safetensors": True, "dtype": dtype},
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        message = f"Model '{spec.name}' in {folder} cannot be loaded: {error}"
        raise ModelChangedError(message) from error
    model.eval()
    return model


def _dtype(precision: str, torch: Any) -> Any:  # noqa: ANN401 - a module
    """Return the number type for the transformer.

    Without AMX or AVX512-BF16, bf16 is emulated and a hundred times slower.
    """
    has_bf16 = _processor_has_bf16()
    if precision == "bf16" and not has_bf16:
        message = "--precision bf16 needs a processor with AMX or AVX512-BF16. Use: fp32"
        raise UsageError(message)
    return torch.bfloat16 if has_bf16 and precision in ("auto", "bf16") else torch.float32


def _processor_has_bf16() -> bool:
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return "amx_bf16" in flags or "avx512_bf16" in flags


def _special_ids(tokenizer: Any) -> tuple[IntArray, IntArray]:  # noqa: ANN401 - transformers
    """Return the ids that stand before and behind every input."""
    framed = tokenizer("a", add_special_tokens=True)["input_ids"]
    inner = tokenizer("a", add_special_tokens=False)["input_ids"]
    place = framed.index(inner[0])
    before, after = framed[:place], framed[place + len(inner) :]
    return np.array(before, np.int32), np.array(after, np.int32)
