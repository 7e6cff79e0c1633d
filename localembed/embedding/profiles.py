"""Profiles of this machine: the best batch, engine and threads of each model."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import asdict
from pathlib import Path
from typing import Any

from localembed.core import private, user_folders
from localembed.core.files import read_json, write_json
from localembed.embedding.options import Profile
from localembed.errors import LocalembedError

_TYPES: dict[str, tuple[type, ...]] = {
    "engine": (str,), "batch_tokens": (int,), "threads": (int,), "chunks_per_second": (int, float),
    "requests_per_minute": (int, float), "tokens_per_minute": (int, float), "named": (bool,),
}  # fmt: skip
"""Field of a profile → its types; a number is positive."""


class ProfileStore:
    """The user's profiles, one JSON object for each device, model and precision."""

    def __init__(self) -> None:
        """Set the paths; nothing is read yet."""
        self._path = user_folders.user_data() / "profiles.json"
        self.folder: Path = user_folders.user_cache()
        """Folder for converted models, which can be converted again."""

    def recall(self, key: str) -> Profile:
        """Return a stored profile, an empty one if there is none."""
        entry = self._read().get(key)
        stored = entry if isinstance(entry, dict) else {}
        return Profile(**{name: stored.get(name) for name in _TYPES if _is_valid(name, stored)})

    def keep(self, key: str, profile: Profile) -> None:
        """Store a profile for later runs; do nothing if it cannot be written."""
        profiles = {**self._read(), key: asdict(profile)}
        try:
            private.make_folder(self._path.parent)
            write_json(self._path, profiles, sync=False)
        except (OSError, LocalembedError):
            return

    def speeds(self, models: Container[str]) -> dict[str, float]:
        """Return the highest chunks per second that `bench` measured for each of some models."""
        speeds: dict[str, float] = {}
        for key, entry in self._read().items():
            model = key.partition(" in ")[0]
            speed = entry.get("chunks_per_second") if isinstance(entry, dict) else None
            if model in models and isinstance(speed, int | float):
                speeds[model] = max(float(speed), speeds.get(model, 0.0))
        return speeds

    def _read(self) -> dict[str, Any]:
        try:
            return read_json(self._path)
        except (OSError, ValueError):
            return {}


def _is_valid(name: str, stored: dict[str, Any]) -> bool:
    """Tell whether a field of a stored profile can be used: the file may have been edited."""
    value = stored.get(name)
    if isinstance(value, int | float) and not isinstance(value, bool) and value <= 0:
        return False
    return type(value) in _TYPES[name]
