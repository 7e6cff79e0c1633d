"""What a workspace's models.toml may say, as the workspace may have come from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from localembed.errors import RegistryError
from localembed.types.models import ModelSpec


def reaching_outside(
    found: Mapping[str, ModelSpec], known: Mapping[str, ModelSpec]
) -> dict[str, str]:
    """Return what each model of a workspace reaches that is not the workspace's to say.

    A block that the user's own models.toml, or the package's, has as well says nothing new.

    Args:
        found: the models of the workspace's models.toml.
        known: the package's and the user's models.

    Returns:
        Name → what it does, for a sentence; empty if nothing reaches outside.
    """
    taken = {name.casefold() for name in known}  # a disk may not tell them apart
    reasons: dict[str, str] = {}
    for name, spec in found.items():
        if known.get(name) == spec:
            continue
        if spec.remote is not None:
            reasons[name] = f"names a server, {spec.remote.base_url}"
        elif name.casefold() in taken:
            reasons[name] = "changes what a model that you know by this name is"
    return reasons


def check_workspace_models(
    path: Path, found: Mapping[str, ModelSpec], known: Mapping[str, ModelSpec], own: Path
) -> None:
    """Refuse a workspace's models.toml that sends text anywhere or replaces a known model.

    Args:
        path: the workspace's models.toml.
        found: its models.
        known: the package's and the user's models.
        own: the user's models.toml, for the message.

    Raises:
        RegistryError: the message names the file, the model and what to do.
    """
    for name, reason in reaching_outside(found, known).items():
        message = (
            f"{path}, [models.{name}]: this block {reason}. A workspace may have come from "
            "elsewhere, so only your own models.toml may say that. If you want this model, put the "
            f"block into {own}; otherwise remove it from the workspace's file."
        )
        raise RegistryError(message)
