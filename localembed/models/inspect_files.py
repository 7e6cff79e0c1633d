"""Derive a spec for models.toml from a model's folder, without loading the model."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from localembed.embedding import read_shape, weights_header
from localembed.errors import ModelChangedError
from localembed.models.blocks import POOLINGS
from localembed.models.safety import deciding_files, weight_bytes
from localembed.types.models import ModelSpec

_MIB = 1 << 20
_STATIC_TOKENS = 512
"""Token limit of static models, which have none; the mean of longer texts loses detail."""
_DOCUMENT_PROMPTS = ("document", "passage", "corpus")
_NO_LIMIT = 1_000_000
"""Tokenizers without a limit report a number above this one."""
_FRONT_MATTER = re.compile(r"\A---\n(.*?)\n---", re.DOTALL)


def inspected(name: str, folder: Path) -> ModelSpec:
    """Return the spec of the sentence-transformers model in a folder.

    Args:
        name: the model's name.
        folder: the folder with modules.json, weights and tokenizer; checked by `check_whole`.

    Raises:
        ModelChangedError: the folder is not such a model's, or lacks a needed value.
    """
    shape = read_shape(folder)
    if not shape.modules:
        message = f"{folder} has no modules.json: it is not a sentence-transformers model."
        raise ModelChangedError(message)
    pooling = "none" if shape.is_static else shape.pooling
    if pooling not in POOLINGS:
        message = f"The model in {folder} uses '{pooling}' pooling, which is not supported."
        raise ModelChangedError(message)
    prompts = _json(folder / "config_sentence_transformers.json").get("prompts") or {}
    card = _card(folder)
    return ModelSpec(
        name=name,
        backend="sentence-transformers",
        sources=(f"path:{folder}",),
        dim=_dim(folder),
        max_tokens=_STATIC_TOKENS if shape.is_static else _max_tokens(folder),
        pooling=pooling,
        normalize=shape.normalizes,
        license=card.get("license", "unknown"),
        query_prompt=str(prompts.get("query") or ""),
        document_prompt=str(next((prompts[k] for k in _DOCUMENT_PROMPTS if prompts.get(k)), "")),
        size_mb=max(1, round(weight_bytes(folder) / _MIB)),
        languages=(card["language"],) if "language" in card else (),
    )


def check_whole(name: str, folder: Path) -> None:
    """Refuse truncated weights, such as those of an unfinished download.

    Raises:
        ModelChangedError: a file's size differs from its header's, or there are no weights.
    """
    weights = [file for file in deciding_files(folder) if file.endswith(".safetensors")]
    if not weights:
        message = (
            f"Model '{name}' has no safetensors weights in {folder}. Other formats are not read."
        )
        raise ModelChangedError(message)
    for file in weights:
        path = folder / file
        header, start = weights_header(path)
        ends = [tensor["data_offsets"][1] for tensor in header.values() if "data_offsets" in tensor]
        whole = start + max(ends, default=0)
        if not header or path.stat().st_size != whole:
            message = (
                f"{path} is incomplete: it has {path.stat().st_size:,} bytes, its header says "
                f"{whole:,}. Copy or download it again."
            )
            raise ModelChangedError(message)


def _dim(folder: Path) -> int:
    """Return the vectors' dimensions, by the last module that names them."""
    modules = json.loads((folder / "modules.json").read_bytes())
    for module in reversed(modules):
        config = _json(folder / str(module.get("path", "")) / "config.json")
        found = config.get("out_features") or config.get("embedding_dimension")
        found = found or config.get("word_embedding_dimension") or config.get("hidden_size")
        if isinstance(found, int):
            return found
    for file in deciding_files(folder):
        tensors = weights_header(folder / file)[0] if file.endswith(".safetensors") else {}
        for key in ("embedding.weight", "embeddings"):
            if key in tensors:
                return int(tensors[key]["shape"][1])
    message = f"The model in {folder} does not say how many dimensions its vectors have."
    raise ModelChangedError(message)


def _max_tokens(folder: Path) -> int:
    """Return the maximum tokens of an input, from the first of three files that names it."""
    places = (
        ("sentence_bert_config.json", "max_seq_length"),
        ("tokenizer_config.json", "model_max_length"),
        ("config.json", "max_position_embeddings"),
    )
    for file, key in places:
        found = _json(folder / file).get(key)
        if isinstance(found, int) and 0 < found < _NO_LIMIT:
            return found
    message = f"The model in {folder} does not say how many tokens it reads."
    raise ModelChangedError(message)


def _card(folder: Path) -> dict[str, str]:
    """Return the plain key-value lines of the README's front matter."""
    try:
        text = (folder / "README.md").read_text("utf-8", errors="replace")
    except OSError:
        return {}
    match = _FRONT_MATTER.match(text)
    lines = (line.partition(":") for line in match[1].splitlines()) if match else ()
    pairs = {key: value.strip().strip("'\"") for key, _, value in lines if not key.startswith(" ")}
    return {key: value for key, value in pairs.items() if value}


def _json(path: Path) -> Mapping[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
