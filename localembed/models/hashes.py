"""SHA-256 hashes of model files: cached by stat and compared with the pinned ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from localembed.core import hashing, private, user_folders
from localembed.core.files import read_json, write_json
from localembed.errors import LocalembedError, ModelChangedError


def checked_hashes(
    model: str, folder: Path, names: list[str], pinned: Mapping[str, str], *, rehash: bool = False
) -> dict[str, str]:
    """Return the SHA-256 of files, each compared with its pinned hash.

    Hashing 90 MB takes a third of a second, so hashes are cached by the files' stats.

    Args:
        model: the model's name, for the message.
        folder: the files' folder.
        names: the files to hash in addition to the pinned ones.
        pinned: name → hash, for some or all files.
        rehash: read every file, ignoring the cache.

    Raises:
        ModelChangedError: a file is missing or differs from its hash.
    """
    memory = user_folders.user_cache() / "model_hashes.json"
    known = {} if rehash else _remembered(memory)
    found: dict[str, str] = {}
    for name in sorted({*names, *pinned}):
        path = folder / name
        try:
            found[name] = _hash(path, known)
        except OSError as error:
            reason = error.strerror or str(error)
            message = f"{path} of model '{model}' cannot be read: {reason}. Reinstall the model."
            raise ModelChangedError(message) from error
        if pinned.get(name, found[name]) != found[name]:
            message = (
                f"{path} is not the file pinned for model '{model}': its sha256 is "
                f"{found[name]}, expected {pinned[name]}. Reinstall the model."
            )
            raise ModelChangedError(message)
    _remember(memory, {**_remembered(memory), **known})
    return found


def _hash(path: Path, known: dict[str, Any]) -> str:
    """Return a file's hash, from the cache if its stat is unchanged; else add it to the cache."""
    key, stat = str(path.resolve()), _stat_key(path)
    entry = known.get(key)
    if not isinstance(entry, dict) or entry.get("stat") != stat or "sha256" not in entry:
        entry = {"stat": stat, "sha256": hashing.sha256_file(path)}
        known[key] = entry
    return str(entry["sha256"])


def _stat_key(path: Path) -> list[int]:
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]


def _remembered(memory: Path) -> dict[str, Any]:
    try:
        return read_json(memory)
    except (OSError, ValueError):
        return {}


def _remember(memory: Path, known: Mapping[str, object]) -> None:
    """Cache the hashes for the next command; without a writable cache they are computed again."""
    if _remembered(memory) == known:
        return
    try:
        private.make_folder(memory.parent)
        write_json(memory, known, sync=False)
    except (OSError, LocalembedError):
        return
