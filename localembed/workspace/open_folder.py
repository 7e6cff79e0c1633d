"""Open the workspace of a folder: `localembed.open`."""

from __future__ import annotations

import os
from pathlib import Path

from localembed.core.workspace_folder import FOLDER_NAME
from localembed.errors import StorageError, UsageError
from localembed.workspace.value_checks import check_flags, check_paths
from localembed.workspace.workspace import Workspace


def open_folder(folder: str | os.PathLike[str] | None, *, create: bool) -> Workspace:
    """Return the workspace of a folder, or the nearest one (see `localembed.open`)."""
    check_flags(create=create)
    if folder is None:
        return Workspace.discover()
    check_paths((folder,), "folder")
    place = Path(os.path.expanduser(os.fsdecode(folder))).absolute()  # noqa: PTH111 - does not fail for an unknown user
    if not os.path.isdir(place):  # noqa: PTH112 - nor for a name that is too long
        _make(place, create=create)
    workspace = Workspace(place / FOLDER_NAME)
    workspace.create()
    return workspace


def _make(place: Path, *, create: bool) -> None:
    if os.path.lexists(place):
        message = f"{place} is not a folder. Name the folder to index."
        raise UsageError(message)
    if not create:
        message = f"There is no folder {place}. Name the folder to index, or give create=True."
        raise UsageError(message)
    try:
        place.mkdir(parents=True)
    except OSError as error:
        message = f"{place} cannot be created: {error.strerror}. Name another folder."
        raise StorageError(message) from error
