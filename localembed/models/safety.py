"""Allow only safetensors weights and a few kinds of JSON in a model's folder, no code.

A pickle runs code when it is loaded, `auto_map` and a module's type name code to import, and an
attention kernel with a slash in its name is code from a hub.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from localembed.core.text import shell_word
from localembed.errors import ModelRefusedError

_MODULE = r"(?:[0-9]+_[A-Za-z0-9]+/)?"
_READ = re.compile(
    _MODULE
    + r"(?:[\w.-]+\.safetensors|model\.safetensors\.index\.json|config\.json|tokenizer\.json"
    r"|tokenizer_config\.json|special_tokens_map\.json|added_tokens\.json|vocab\.txt|vocab\.json"
    r"|merges\.txt|sentence_bert_config\.json|modules\.json|config_sentence_transformers\.json)"
)
_KEPT = re.compile(r"README(\.md)?|LICEN[CS]E(\.\w+)?|NOTICE(\.\w+)?")
"""Files that are not read, but copied with the model."""
_DECIDING = re.compile(_MODULE + r"(?:[\w.-]+\.safetensors|config\.json|tokenizer\.json)")
_PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".npy", ".npz")
_CODE = (".py", ".pyc", ".pyd", ".so", ".dll", ".dylib")
_LARGE_JSON = ("tokenizer.json", "vocab.json")
_FOREIGN_TO_IGNORE = ("onnx", "openvino", ".git", ".cache")
"""Folders that hubs put beside a model, which are never opened."""


def readable_files(folder: Path) -> list[str]:
    """Return the names of all files that are read from a model's folder."""
    return [name for name in _names(folder) if _READ.fullmatch(name)]


def files_to_copy(folder: Path) -> list[str]:
    """Return the names of all files to copy of a model: those that are read, and its licence."""
    return [name for name in _names(folder) if is_wanted(name)]


def is_wanted(name: str) -> bool:
    """Return whether a file of a published model is copied or downloaded."""
    return bool(_READ.fullmatch(name) or _KEPT.fullmatch(name))


def deciding_files(folder: Path) -> list[str]:
    """Return the names of weights, tokenizer and configuration, which determine the vectors.

    A model has these files in its folder, in a folder for each module, or in both.
    """
    names = _names(folder)
    return [name for name in names if name == "modules.json" or _DECIDING.fullmatch(name)]


def weight_bytes(folder: Path) -> int:
    """Return the size of a model's weights."""
    names = (name for name in deciding_files(folder) if name.endswith(".safetensors"))
    return sum((folder / name).stat().st_size for name in names)


def check_only_data(name: str, folder: Path) -> None:
    """Refuse a folder that could make a library run code from it.

    Raises:
        ModelRefusedError: it holds code or a pickle, or names code to import; the file is named.
    """
    for reason in objections(folder):
        message = (
            f"Model '{name}' is refused: {reason}. Only safetensors and plain JSON are read from a "
            "model, and no option allows code. Remove it; or, if the model works without such "
            f"files, make a copy without them: localembed models add "
            f"{shell_word(os.fsencode(folder))} --copy"
        )
        raise ModelRefusedError(message)


def objections(folder: Path) -> Iterator[str]:
    """Yield, as text, each reason why a library could run code from a model's folder."""
    for name in _names(folder):
        suffix = Path(name).suffix.lower()
        if suffix in _CODE:
            yield f"{folder / name} is code"
        elif suffix in _PICKLES:
            yield f"{folder / name} may be a pickle, which can run code when it is loaded"
        elif suffix == ".json" and _READ.fullmatch(name) and Path(name).name not in _LARGE_JSON:
            why = _objection(name, _json(folder / name))
            if why:
                yield f"{folder / name} {why}"


def _objection(name: str, value: Any) -> str | None:  # noqa: ANN401 - any JSON
    """Return what a JSON file requests that would run code, or None."""
    if name == "modules.json":
        modules = value if isinstance(value, list) else []
        if why := next(filter(None, map(_objection_to_module, modules)), None):
            return why
    for key, found in _pairs(value):
        if key == "auto_map":
            return "has auto_map: its model is code beside the weights"
        if key == "trust_remote_code" and found:
            return "asks for trust_remote_code"
        if key.endswith("attn_implementation") and "/" in str(found):
            return f"names the attention kernel {found}, which would be downloaded"
        if key == "activation_function" and not str(found).startswith("torch.nn."):
            return f"names the function {found}, which is not part of torch"
    return None


def _objection_to_module(module: Any) -> str | None:  # noqa: ANN401 - any JSON
    """Return what is wrong with an entry of modules.json or its folder, or None."""
    if not isinstance(module, dict):
        return "has an invalid module"
    kind, place = str(module.get("type", "")), str(module.get("path", ""))
    if not kind.startswith("sentence_transformers."):
        return f"names the module {kind}, which is not part of sentence-transformers"
    if place and not re.fullmatch(_MODULE, f"{place}/"):
        return f"names the folder {place!r} for a module, which is never read"
    return None


def _pairs(value: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - any JSON
    """Yield every key of nested JSON with its value."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            yield from item.items()
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)


def _json(path: Path) -> Any:  # noqa: ANN401 - any JSON
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None  # code that needs the file reports the error


def _names(folder: Path) -> list[str]:
    """Return the names of all files of a model, two levels deep, sorted."""
    found = []
    for path in folder.iterdir():
        if path.is_dir():
            if path.name not in _FOREIGN_TO_IGNORE:
                found += [
                    f"{path.name}/{inner.name}" for inner in path.iterdir() if inner.is_file()
                ]
        elif path.is_file():
            found.append(path.name)
    return sorted(found)
