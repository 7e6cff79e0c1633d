"""Settings: flag > LOCALEMBED_* > workspace config.toml > user config.toml > default.

Only `workspace` and `cli` see a `Settings`; the stages get plain values.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from localembed.core import user_folders
from localembed.core.text import whole_number
from localembed.embedding import DEVICE_NAME, ENGINES, PRECISIONS, EngineOptions, LoadContext
from localembed.embedding.profiles import ProfileStore
from localembed.errors import UsageError
from localembed.store.head import check_format
from localembed.store.layout import Layout
from localembed.types.queries import SearchMode
from localembed.workspace.config_file import read_toml
from localembed.workspace.config_keys import FILE, SETTINGS, Reach, unknown_keys

DEFAULT_MODEL = "all-MiniLM-L6-v2"
PRESETS = {"rag": 500, "search": 800, "kb": 1000}
_SIZE = re.compile(r"(\d+)(?:\.(\d{1,9}))?\s*([kmgt]?)(?:i?b)?", re.IGNORECASE | re.ASCII)
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


@dataclass(frozen=True, slots=True)
class Settings:
    """The values in force."""

    model: str = DEFAULT_MODEL
    preset: str | None = None
    """Preset of the chunk size: rag, search or kb."""
    chunk_tokens: int | None = None
    """Maximum tokens per chunk; None for the preset's, or the model's limit up to 512."""
    overlap: int = 32
    """Tokens repeated from the previous chunk."""
    dim: int | None = None
    """Vector dimensions, if the model supports fewer; None for its native dimension."""
    vector_type: str = "float16"
    precision: str = "auto"
    device: str = "auto"
    engine: str = "auto"
    batch_tokens: int | None = None
    """Padded tokens per forward pass; None for the profile's, or the device's default."""
    threads: int | None = None
    """CPU threads for inference; None for the profile's, or all cores."""
    max_file_size: int = 32 << 20
    """Maximum size of a file in bytes."""
    top_k: int = 10
    per_file: int = 2
    """Maximum number of hits of one file; 0 for no maximum."""
    mode: SearchMode = "hybrid"
    commit_seconds: int = 15
    """Seconds of embedding between two commits: what a kill can cost."""
    keep_versions: int = 10
    """Number of versions that a clean-up keeps; tagged ones are kept as well."""
    resident_minutes: int = 15
    """Idle minutes after which the server exits; 0 starts none."""
    resident_memory: int = 1 << 30
    """Bytes of memory above which the server closes the workspaces that it used least recently."""
    allow_network: bool = False
    """Whether commands may use the network; a workspace's config.toml cannot set this."""


@dataclass(frozen=True, slots=True)
class Sourced:
    """Settings, with the origin of each value."""

    settings: Settings
    origins: Mapping[str, str]
    """Setting → "flag", the name of a variable, a file, or "default"."""

    def given(self, name: str) -> bool:
        """Tell whether this value was set, by a flag, a variable or a file."""
        return self.origins[name] != "default"


def _choice(*words: str) -> Callable[[object], object]:
    def check(value: object) -> object:
        if value not in words:
            message = f"must be one of {', '.join(words)}"
            raise ValueError(message)
        return value

    return check


def _whole(low: int, high: int) -> Callable[[object], object]:
    def check(value: object) -> object:
        digits = str(value) if isinstance(value, str | int) else ""
        number = whole_number(digits, high + 1) if digits.isdecimal() else low - 1
        if not low <= number <= high:
            message = f"must be a whole number from {low} to {high}"
            raise ValueError(message)
        return number

    return check


def _bytes(value: object) -> object:
    match = _SIZE.fullmatch(str(value).strip())
    if not match:
        message = 'must be a size such as "32MiB" or "1.5GiB"'
        raise ValueError(message)
    unit, fraction = _UNITS[match[3].lower()], match[2] or ""
    return whole_number(match[1], sys.maxsize) * unit + int(fraction or 0) * unit // 10 ** len(
        fraction
    )


def _device(value: object) -> object:
    if not isinstance(value, str) or not DEVICE_NAME.fullmatch(value):
        message = "must be auto, cpu, cuda, cuda:N or mps"
        raise ValueError(message)
    return value


def _yes_or_no(value: object) -> object:
    words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if str(value).lower() not in words:
        message = "must be true or false"
        raise ValueError(message)
    return words[str(value).lower()]


def _text(value: object) -> object:
    if not isinstance(value, str) or not value:
        message = "must be a name"
        raise ValueError(message)
    return value


_CHECKS: dict[str, Callable[[object], object]] = {
    "model": _text,
    "preset": _choice(*PRESETS),
    "chunk_tokens": _whole(16, 100_000),
    "overlap": _whole(0, 1000),
    "dim": _whole(1, 65_536),
    "vector_type": _choice("float16", "float32"),
    "precision": _choice(*PRECISIONS),
    "device": _device,
    "engine": _choice(*ENGINES),
    "batch_tokens": _whole(16, 16_777_216),
    "threads": _whole(1, 1024),
    "max_file_size": _bytes,
    "top_k": _whole(1, 10_000),
    "per_file": _whole(0, 10_000),
    "mode": _choice("hybrid", "vector", "text"),
    "commit_seconds": _whole(1, 3600),
    "keep_versions": _whole(1, 10_000),
    "resident_minutes": _whole(0, 1440),
    "resident_memory": _bytes,
    "allow_network": _yes_or_no,
}

SETTING_NAMES = tuple(_CHECKS)


def resolve(
    flags: Mapping[str, object],
    layout: Layout | None,
    variables: Mapping[str, str] | None = None,
) -> Sourced:
    """Return the settings in force.

    Args:
        flags: values of the command line; None where it has none.
        layout: the workspace, if there is one.
        variables: the `LOCALEMBED_` variables of another process; None for this process's own.

    Raises:
        UsageError: a value is invalid, or a file cannot be read; the message names the origin.
    """
    layers: list[tuple[str, Mapping[str, object]]] = [
        ("flag", flags),
        ("", _of_variables(os.environ if variables is None else variables)),
    ]
    for path in (layout.config if layout else None, user_folders.user_config() / "config.toml"):
        if path is not None:
            found = read_toml(path)
            if layout is not None and path == layout.config:
                check_format(found.get("format"), layout)
            raw = {name: value for name, value in found.items() if name not in FILE}
            if path != user_folders.user_config() / "config.toml":
                _reject_network_permission(path, raw)
            if unknown := unknown_keys(raw, SETTINGS):
                message = (
                    f"{path} has an unknown setting: {unknown[0]}. Known settings: "
                    f"{_setting_names()}"
                )
                raise UsageError(message)
            layers.append((str(path), raw))
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for name in _CHECKS:
        for origin, layer in layers:
            if layer.get(name) is None:
                continue
            origins[name] = origin or _variable(name)
            values[name] = _checked(name, layer[name], origins[name])
            break
        origins.setdefault(name, "default")
    return Sourced(Settings(**values), origins)


def _reject_network_permission(path: Path, raw: Mapping[str, object]) -> None:
    """Reject a workspace that allows the network: it may have come with a folder.

    Raises:
        UsageError: it allows the network.
    """
    for name in (name for name in raw if SETTINGS.get(name) is Reach.NETWORK):
        message = (
            f"{path} sets {name}, which only your own config.toml may do: "
            f"{user_folders.user_config() / 'config.toml'}. Remove that line."
        )
        raise UsageError(message)


def _setting_names() -> str:
    return ", ".join(field.name for field in fields(Settings))


def _variable(name: str) -> str:
    return f"LOCALEMBED_{name.upper()}"


def _of_variables(variables: Mapping[str, str]) -> dict[str, object]:
    found = {name: variables.get(_variable(name)) for name in _CHECKS}
    return {name: value for name, value in found.items() if value}


def _checked(name: str, value: object, origin: str) -> object:
    try:
        return _CHECKS[name](value)
    except ValueError as error:
        where = f"--{name.replace('_', '-')}" if origin == "flag" else f"{name} ({origin})"
        message = f"{where} is {value!r}, but {error}."
        raise UsageError(message) from error


def engine_options(settings: Settings) -> EngineOptions:
    """Return the settings' options for embedding."""
    return EngineOptions(
        device=settings.device,
        precision=settings.precision,
        engine=settings.engine,
        batch_tokens=settings.batch_tokens,
        threads=settings.threads,
    )


def load_context(model_id: str) -> LoadContext:
    """Return the context of a model, with this machine's profiles."""
    return LoadContext(model_id=model_id, profiles=ProfileStore())
