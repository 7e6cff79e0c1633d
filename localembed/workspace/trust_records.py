"""What the user allowed each workspace, in the user's data folder: never in the workspace."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

from localembed.core import private, user_folders
from localembed.core.files import read_json, storage_error, write_json
from localembed.errors import StorageError
from localembed.store.layout import Layout
from localembed.types.trust import REACHED, Permission, TrustedWorkspace
from localembed.workspace.config_file import read_id

_FORMAT = 1


def records_path() -> Path:
    """Return the path of the records, which may not exist."""
    return user_folders.user_data() / "trust.json"


def trusted_workspaces() -> tuple[TrustedWorkspace, ...]:
    """Return every workspace that the user allowed something.

    Raises:
        StorageError: the records are damaged.
    """
    path = records_path()
    try:
        return tuple(
            TrustedWorkspace(
                folder=Path(raw["folder"]),
                workspace_id=str(raw["workspace_id"]),
                owner=int(raw["owner"]),
                device=int(raw["device"]),
                inode=int(raw["inode"]),
                permissions=tuple(map(_permission, raw["permissions"])),
                is_installed=bool(raw["is_installed"]),
            )
            for raw in read_json(path)["workspaces"]
        )
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = (
            f"{path} cannot be read: {error}. Delete it, then run for each workspace that reaches "
            "outside of its folder: localembed trust DIR"
        )
        raise StorageError(message) from error


def _permission(raw: Mapping[str, str]) -> Permission:
    """Return a permission.

    Raises:
        ValueError: this version knows no such kind.
    """
    found = Permission(raw["kind"], os.fspath(raw["value"]))  # type: ignore[arg-type]
    if found.kind not in REACHED:
        message = f"it has a permission of the unknown kind {found.kind!r}"
        raise ValueError(message)
    return found


def identify(layout: Layout) -> TrustedWorkspace:
    """Return a workspace with everything that identifies it, and no permission."""
    folder = Path(os.path.realpath(layout.folder))
    status = folder.stat()
    return TrustedWorkspace(
        folder, read_id(layout), status.st_uid, status.st_dev, status.st_ino, ()
    )


def record_of(layout: Layout) -> TrustedWorkspace | None:
    """Return the record of a workspace, None if there is none.

    Raises:
        StorageError: the records are damaged.
    """
    records = trusted_workspaces()
    if not records:
        return None
    this = identify(layout)
    return next((known for known in records if _is_same(known, this)), None)


def permissions_of(layout: Layout) -> frozenset[Permission]:
    """Return what the user allowed a workspace.

    Raises:
        StorageError: the records are damaged.
    """
    known = record_of(layout)
    return frozenset(known.permissions) if known else frozenset()


def allow(
    layout: Layout, permissions: Iterable[Permission], *, is_installed: bool = False
) -> TrustedWorkspace:
    """Add permissions to a workspace's record; return the record.

    Args:
        layout: the workspace.
        permissions: what the user allowed it.
        is_installed: whether it has just come from a bundle.

    Raises:
        StorageError: the records are damaged, or cannot be written.
    """
    this = identify(layout)
    with _records_to_change() as records:
        same = [known for known in records if _is_same(known, this)]
        kept = {permission for known in same for permission in known.permissions}
        found = replace(
            this,
            permissions=tuple(sorted(kept.union(permissions), key=lambda one: one.rank)),
            is_installed=is_installed or any(known.is_installed for known in same),
        )
        others = [known for known in records if known not in same and known.folder != this.folder]
        records[:] = [*others, found]
    return found


def withdraw(folder: Path, permissions: Iterable[Permission] | None = None) -> int:
    """Remove permissions of a workspace folder, None for all; return how many were removed.

    Raises:
        StorageError: the records are damaged, or cannot be written.
    """
    place = Path(os.path.realpath(folder))
    if all(known.folder != place for known in trusted_workspaces()):
        return 0
    gone = None if permissions is None else frozenset(permissions)
    count = 0
    with _records_to_change() as records:
        for number, known in enumerate(records):
            if known.folder == place:
                stay = tuple(p for p in known.permissions if gone is not None and p not in gone)
                count += len(known.permissions) - len(stay)
                records[number] = replace(known, permissions=stay)
        records[:] = [known for known in records if known.permissions or known.is_installed]
    return count


def _is_same(known: TrustedWorkspace, this: TrustedWorkspace) -> bool:
    """Tell whether a record is about this workspace.

    A moved one keeps its inode, a restored one its path; a copy has neither.
    """
    is_there = known.folder == this.folder
    is_moved = (known.device, known.inode) == (this.device, this.inode) and this.inode != 0
    return (is_there or is_moved) and (known.workspace_id, known.owner) == (
        this.workspace_id,
        this.owner,
    )


@contextmanager
def _records_to_change() -> Iterator[list[TrustedWorkspace]]:
    """Yield all records, and write what the block made of them; one process at a time."""
    from filelock import FileLock

    path = records_path()
    try:
        private.make_folder(path.parent)
        with FileLock(f"{path}.lock", mode=0o600):
            records = list(trusted_workspaces())
            yield records
            rows = [{**asdict(known), "folder": os.fspath(known.folder)} for known in records]
            write_json(path, {"format": _FORMAT, "workspaces": rows})
    except OSError as error:
        raise storage_error(path, error) from error
