"""The files of a model: where they lie, which of them decide what a vector is, and their hashes."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from localembed import folders, hashing
from localembed.errors import LocalembedError, ModelChangedError
from localembed.store.durable import read_json, write_json
from localembed.types import ModelSpec


def locate(spec: ModelSpec) -> Path | None:
    """Return the folder of a model's files, None if it is not on this machine."""
    for source in spec.sources:
        kind, _, rest = source.partition(":")
        folder = _package_folder(rest) if kind == "package" else Path(rest).expanduser()
        if folder is not None and folder.is_dir():
            return folder
    return None


def checked_hashes(spec: ModelSpec, folder: Path, *, rehash: bool = False) -> dict[str, str]:
    """Return the SHA-256 of every file that decides what a vector is.

    Hashing 90 MB takes a third of a second, so hashes are remembered by the files' stats.

    Args:
        spec: pins the hashes, or none.
        folder: where the files lie.
        rehash: read every file, whatever is remembered.

    Raises:
        ModelChangedError: a file is missing or differs from its hash.
    """
    names = sorted(spec.sha256) or _deciding_files(folder)
    memory = folders.user_cache() / "model_hashes.json"
    known = {} if rehash else _remembered(memory)
    found: dict[str, str] = {}
    for name in names:
        path = folder / name
        try:
            key, stat = str(path.resolve()), _stat_key(path)
        except OSError as error:
            message = f"Model '{spec.name}' has no file {path}. Install it again."
            raise ModelChangedError(message) from error
        entry = known.get(key)
        if not isinstance(entry, dict) or entry.get("stat") != stat or "sha256" not in entry:
            entry = {"stat": stat, "sha256": hashing.sha256_file(path)}
            known[key] = entry
        found[name] = entry["sha256"]
        if spec.sha256 and spec.sha256[name] != found[name]:
            message = (
                f"{path} is not the file that models.toml pins for '{spec.name}': its sha256 is "
                f"{found[name]}, pinned is {spec.sha256[name]}. Install the model again."
            )
            raise ModelChangedError(message)
    _remember(memory, {**_remembered(memory), **known})
    return found


def _deciding_files(folder: Path) -> list[str]:
    """Return the names of weights, tokenizer and configuration in a model folder.

    A model has these files in its folder, in a folder for each module, or in both.
    """
    names = ("*.safetensors", "tokenizer.json", "config.json")
    places = ("modules.json", *(f"{inside}{name}" for name in names for inside in ("", "*/")))
    found = {path for pattern in places for path in folder.glob(pattern) if path.is_file()}
    return sorted(path.relative_to(folder).as_posix() for path in found)


def _stat_key(path: Path) -> list[int]:
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]


def _remembered(memory: Path) -> dict[str, Any]:
    try:
        return read_json(memory)
    except (OSError, ValueError):
        return {}


def _remember(memory: Path, known: Mapping[str, object]) -> None:
    """Keep the hashes for the next command; without a writable cache they are made again."""
    if _remembered(memory) == known:
        return
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        write_json(memory, known, sync=False)
    except (OSError, LocalembedError):
        return


def model_bytes(folder: Path) -> int:
    """Return the size of a model's weights."""
    weights = (name for name in _deciding_files(folder) if name.endswith(".safetensors"))
    return sum((folder / name).stat().st_size for name in weights)


def _package_folder(source: str) -> Path | None:
    """Return a folder inside an installed package, found without importing it."""
    package, _, inner = source.partition("/")
    try:
        found = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return None
    if found is None or not found.submodule_search_locations:
        return None
    return Path(found.submodule_search_locations[0]) / inner
