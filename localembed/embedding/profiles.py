"""Profiles of this machine: the best batch, engine and threads of each model."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from localembed.core import user_folders
from localembed.core.files import read_json, write_json
from localembed.embedding.options import Profile
from localembed.errors import LocalembedError


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
        values = {field.name: stored.get(field.name) for field in fields(Profile)}
        return Profile(**values)

    def keep(self, key: str, profile: Profile) -> None:
        """Store a profile for later runs; do nothing if it cannot be written."""
        profiles = {**self._read(), key: asdict(profile)}
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
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
