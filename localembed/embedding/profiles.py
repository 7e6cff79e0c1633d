"""What was found out about this machine: the best batch, engine and threads of each model."""

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
        """Name the places; nothing is read yet."""
        self._path = user_folders.user_data() / "profiles.json"
        self.folder: Path = user_folders.user_cache()
        """Where converted models are kept: they can be made again."""

    def recall(self, key: str) -> Profile:
        """Return what is known, an empty profile if nothing is."""
        entry = self._read().get(key)
        known = entry if isinstance(entry, dict) else {}
        values = {field.name: known.get(field.name) for field in fields(Profile)}
        return Profile(**values)

    def keep(self, key: str, profile: Profile) -> None:
        """Remember for later runs; where nothing can be written, nothing is remembered."""
        known = {**self._read(), key: asdict(profile)}
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_json(self._path, known, sync=False)
        except (OSError, LocalembedError):
            return

    def speeds(self, models: Container[str]) -> dict[str, float]:
        """Return the chunks a second that `bench` measured for models, of each its fastest."""
        found: dict[str, float] = {}
        for key, entry in self._read().items():
            model = key.partition(" in ")[0]
            speed = entry.get("chunks_per_second") if isinstance(entry, dict) else None
            if model in models and isinstance(speed, int | float):
                found[model] = max(float(speed), found.get(model, 0.0))
        return found

    def _read(self) -> dict[str, Any]:
        try:
            return read_json(self._path)
        except (OSError, ValueError):
            return {}
