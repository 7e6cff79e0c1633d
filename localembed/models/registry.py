"""Read and validate models.toml, and edit the user's own.

The package's registry comes first; the user's own models.toml adds to it and takes precedence. One
in the workspace only adds models of files on this machine (see `workspace_models`).
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from localembed.core import private, user_folders
from localembed.core.files import MAX_TOML_BYTES, read_bounded, write_atomically
from localembed.core.text import nearest_name
from localembed.errors import ModelNotFoundError, RegistryError
from localembed.models.blocks import checked_spec, spec_block
from localembed.models.workspace_models import check_workspace_models
from localembed.store.layout import Layout
from localembed.types.models import ModelSpec

_PACKAGE = Path(__file__).parent.parent


def registry_path() -> Path:
    """Return the package's models.toml: beside its modules in a wheel, else above them."""
    inside = _PACKAGE / "models.toml"
    return inside if inside.is_file() else _PACKAGE.parent / "models.toml"


def user_registry() -> Path:
    """Return the path of the user's own models.toml, which may not exist."""
    return user_folders.user_config() / "models.toml"


def load_specs(layout: Layout | None = None) -> dict[str, ModelSpec]:
    """Return all known models by name.

    Raises:
        RegistryError: a models.toml cannot be read or is invalid, or a workspace's says too much.
    """
    specs = {**read_registry(registry_path(), required=True), **read_registry(user_registry())}
    if layout is None:
        return specs
    found = read_registry(layout.models)
    check_workspace_models(layout.models, found, specs, user_registry())
    return {**specs, **found}


def find_spec(name: str, layout: Layout | None = None) -> ModelSpec:
    """Return one model's spec.

    Raises:
        ModelNotFoundError: no models.toml has it; the message suggests the closest name.
    """
    specs = load_specs(layout)
    if name in specs:
        return specs[name]
    near = nearest_name(name, specs, cutoff=0.5)
    hint = f" Did you mean {near}?" if near else ""
    message = f"Model '{name}' is not in models.toml.{hint} Run: localembed models list"
    raise ModelNotFoundError(message)


def read_registry(path: Path, *, required: bool = False) -> dict[str, ModelSpec]:
    """Return the models of one models.toml by name; none if the file does not exist.

    Raises:
        RegistryError: it cannot be read, is invalid, or is required and missing.
    """
    try:
        return dict(_blocks(path, read_bounded(path, MAX_TOML_BYTES).decode("utf-8")))
    except (FileNotFoundError, NotADirectoryError):
        if required:
            message = f"{path} is missing: this installation is incomplete. Reinstall localembed."
            raise RegistryError(message) from None
        return {}
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror}. Make it readable, then try again."
        raise RegistryError(message) from error
    except (ValueError, RecursionError) as error:
        message = f"{path} cannot be read: {error}. Fix that line, then run the command again."
        raise RegistryError(message) from error


@lru_cache(maxsize=8)
def _blocks(path: Path, text: str) -> Mapping[str, ModelSpec]:
    """Return the models of a file with this text, cached for the next query."""
    raw = tomllib.loads(text)
    models = raw.pop("models", {})
    if raw or not isinstance(models, dict):
        message = (
            f"{path}: only [models.NAME] blocks are allowed, found {next(iter(raw), models)!r}."
        )
        raise RegistryError(message)
    return {name: checked_spec(f"{path}, [models.{name}]", name, b) for name, b in models.items()}


def add_block(spec: ModelSpec) -> Path:
    """Add a model to the user's models.toml, replacing one of the same name.

    Raises:
        RegistryError: the file cannot be read.
        StorageError: it cannot be written.
    """
    import tomlkit

    path = user_registry()
    read_registry(path)
    document = tomlkit.parse(path.read_text("utf-8")) if path.exists() else tomlkit.document()
    models = document.setdefault("models", tomlkit.table(is_super_table=True))
    models.pop(spec.name, None)
    models.add(spec.name, tomlkit.item(spec_block(spec)))
    private.make_folder(path.parent)
    write_atomically(path, tomlkit.dumps(document).encode())
    return path


def drop_block(name: str) -> bool:
    """Remove a model from the user's models.toml; return whether it was there.

    Raises:
        RegistryError: the file cannot be read.
        StorageError: it cannot be written.
    """
    import tomlkit

    path = user_registry()
    if name not in read_registry(path):
        return False
    document = tomlkit.parse(path.read_text("utf-8"))
    document["models"].pop(name)
    write_atomically(path, tomlkit.dumps(document).encode())
    return True
