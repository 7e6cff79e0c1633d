"""A workspace's config.toml as a file: read its roots, and write roots and settings.

The path of a root inside the workspace's parent folder is stored relative to that folder, so that
both move together.
"""

from __future__ import annotations

import os
import secrets
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from localembed.core.files import MAX_TOML_BYTES, read_bounded, write_atomically
from localembed.core.paths import is_below
from localembed.core.text import show_path
from localembed.errors import UsageError
from localembed.store.head import check_format
from localembed.store.layout import FORMAT, Layout
from localembed.types.documents import Root
from localembed.workspace.config_keys import ROOT, unknown_keys

if TYPE_CHECKING:
    from tomlkit import TOMLDocument

_FIX = "Fix that line, then run the command again."


def read_toml(path: Path) -> dict[str, Any]:
    """Return the content of a TOML file; an empty dict if it does not exist.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        return tomllib.loads(_text(path))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise _unreadable(path, error.strerror, "Make it readable, then try again.") from error
    except (ValueError, RecursionError) as error:
        raise _unreadable(path, error, _FIX) from error


def _text(path: Path) -> str:
    return read_bounded(path, MAX_TOML_BYTES).decode("utf-8")


def _unreadable(path: Path, reason: object, advice: str) -> UsageError:
    return UsageError(f"{path} cannot be read: {reason}. {advice}")


def read_roots(layout: Layout) -> tuple[Root, ...]:
    """Return the workspace's roots.

    Raises:
        UsageError: config.toml cannot be read or has an invalid entry.
        TooNewError: a newer localembed wrote it.
    """
    raw = read_toml(layout.config)
    check_format(raw.get("format"), layout)
    parent = _parent(layout)
    try:
        return tuple(
            Root(
                root_id=str(_given(entry, "id")),
                path=_path(entry, parent),
                include=_texts(entry, "include"),
                exclude=_texts(entry, "exclude"),
                hidden=_switch(entry, "hidden"),
                no_ignore=_switch(entry, "no_ignore"),
                removed=_removed(entry),
                elsewhere=_switch(entry, "elsewhere"),
            )
            for entry in _entries(raw)
        )
    except (TypeError, ValueError) as error:
        message = f"{layout.config} has an invalid [[roots]] entry: {error}. Fix it."
        raise UsageError(message) from error


def _entries(raw: Mapping[str, object]) -> list[Mapping[str, object]]:
    entries = raw.get("roots", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        message = "roots must be a list of tables"
        raise TypeError(message)
    if unknown := unknown_keys((key for entry in entries for key in entry), ROOT):
        message = f"unknown key '{unknown[0]}'; known keys: {', '.join(ROOT)}"
        raise ValueError(message)
    return entries


def _given(entry: Mapping[str, object], name: str) -> object:
    if name not in entry:
        message = f"{name} is missing"
        raise ValueError(message)
    return entry[name]


def _texts(entry: Mapping[str, object], name: str) -> tuple[str, ...]:
    value = entry.get(name, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        message = f'{name} must be a list such as ["*.md"]'
        raise ValueError(message)
    return tuple(value)


def _switch(entry: Mapping[str, object], name: str) -> bool:
    value = entry.get(name, False)
    if not isinstance(value, bool):
        message = f"{name} must be true or false"
        raise TypeError(message)
    return value


def _parent(layout: Layout) -> bytes:
    """Return the folder that holds the workspace, without links."""
    return os.path.dirname(os.path.realpath(os.fsencode(layout.folder)))  # noqa: PTH120 - bytes


def _path(entry: Mapping[str, object], parent: bytes) -> bytes:
    """Return a root's absolute path without links; one of another machine stays as it is."""
    path = _stored_path(entry)
    if _switch(entry, "elsewhere"):
        return path
    return os.path.realpath(os.path.join(parent, path))  # noqa: PTH118 - bytes


def _removed(entry: Mapping[str, object]) -> frozenset[bytes]:
    texts = _texts(entry, "removed")
    return frozenset(
        [*(text.encode() for text in texts), *map(bytes.fromhex, _texts(entry, "removed_hex"))]
    )


def _stored_path(entry: Mapping[str, object]) -> bytes:
    """Return a root's path; TOML needs valid Unicode, so other paths are stored in hex as well."""
    raw = entry.get("path_hex")
    path = bytes.fromhex(str(raw)) if raw else str(_given(entry, "path")).encode()
    if not path or b"\0" in path:
        message = "path must be the path of a folder or file"
        raise ValueError(message)
    return path


def is_whole(layout: Layout) -> bool:
    """Tell whether config.toml is one that localembed wrote, not a lost or emptied one."""
    return "format" in read_toml(layout.config)


def read_id(layout: Layout) -> str:
    """Return the random id of the workspace, empty if it has none."""
    found = read_toml(layout.config).get("id", "")
    return found if isinstance(found, str) else ""


def ensure_id(layout: Layout) -> None:
    """Give the workspace a random id if it has none. The caller holds the writer lock.

    Raises:
        StorageError: the disk is full or unwritable.
    """
    if not read_id(layout):
        write_setting(layout, "id", _new_id())


def read_model(layout: Layout) -> str | None:
    """Return the model that the workspace's config.toml names, None if it names none."""
    found = read_toml(layout.config).get("model")
    return found if isinstance(found, str) else None


def read_forgotten(layout: Layout) -> frozenset[str]:
    """Return the ids of removed roots whose documents may still be stored.

    Raises:
        UsageError: config.toml cannot be read or has an invalid value.
    """
    found = read_toml(layout.config).get("forgotten", [])
    if not isinstance(found, list):
        message = f"{layout.config} has an invalid value: forgotten must be a list. Fix it."
        raise UsageError(message)
    return frozenset(map(str, found))


def write_roots(layout: Layout, roots: Sequence[Root], forgotten: Collection[str] = ()) -> None:
    """Write the roots into config.toml; everything else, including comments, is kept.

    Args:
        layout: the workspace.
        roots: all roots.
        forgotten: ids of roots whose documents a run must still remove. Documents without a root
            are removed only if it is named here, so a lost config.toml deletes nothing.

    Raises:
        StorageError: the disk is full or unwritable.
    """
    write_atomically(layout.config, _with_roots(layout, roots, forgotten))


def portable(layout: Layout) -> bytes:
    """Return config.toml for another machine, where the roots are folders of this one."""
    roots = [replace(root, elsewhere=True) for root in read_roots(layout)]
    return _with_roots(layout, roots, read_forgotten(layout))


def _with_roots(layout: Layout, roots: Sequence[Root], forgotten: Collection[str]) -> bytes:
    """Return config.toml with other roots."""
    import tomlkit

    document = _document(layout)
    parent = _parent(layout)
    tables = tomlkit.aot()
    for root in roots:
        tables.append(tomlkit.item(_entry(root, parent)))
    document.pop("roots", None)
    document.pop("forgotten", None)
    if forgotten:
        document.add("forgotten", tomlkit.item(sorted(forgotten)))
    if roots:
        document.add("roots", tables)
    return tomlkit.dumps(document).encode()


def write_setting(layout: Layout, name: str, value: str) -> None:
    """Write one setting into config.toml; everything else, including comments, is kept.

    Raises:
        StorageError: the disk is full or unwritable.
    """
    import tomlkit

    document = _document(layout)
    if name in document:
        document[name] = value
    else:  # before the first [table], or it would be part of it
        text = tomlkit.dumps(document)
        document = tomlkit.parse(f"{tomlkit.dumps({name: value})}{text}")
    write_atomically(layout.config, tomlkit.dumps(document).encode())


def _document(layout: Layout) -> TOMLDocument:
    import tomlkit

    try:
        return tomlkit.parse(_text(layout.config))
    except (ValueError, RecursionError) as error:  # tomlkit nests less deeply than tomllib
        raise _unreadable(layout.config, error, _FIX) from error
    except FileNotFoundError:
        document = tomlkit.document()
        document.add(tomlkit.comment("Settings of this localembed workspace, and what it indexes."))
        document.add("format", tomlkit.item(FORMAT))
        document.add("id", tomlkit.item(_new_id()))
        return document


def _entry(root: Root, parent: bytes) -> dict[str, object]:
    path = root.path if root.elsewhere else _relative(root.path, parent)
    entry: dict[str, object] = {"id": root.root_id, "path": show_path(path)}
    if show_path(path).encode() != path:
        entry["path_hex"] = path.hex()
    if root.include:
        entry["include"] = list(root.include)
    if root.exclude:
        entry["exclude"] = list(root.exclude)
    if root.hidden:
        entry["hidden"] = True
    if root.no_ignore:
        entry["no_ignore"] = True
    unicode = {path for path in root.removed if show_path(path).encode() == path}
    if unicode:
        entry["removed"] = sorted(path.decode() for path in unicode)
    if root.removed - unicode:
        entry["removed_hex"] = sorted(path.hex() for path in root.removed - unicode)
    if root.elsewhere:
        entry["elsewhere"] = True
    return entry


def _relative(path: bytes, parent: bytes) -> bytes:
    """Return a path below the workspace's parent folder relative to it; others stay as they are.

    The top folder of a disk holds everything and never moves, so it is no such parent.
    """
    movable = parent != os.path.dirname(parent)  # noqa: PTH120 - bytes
    inside = path == parent or is_below(path, parent)
    return os.path.relpath(path, parent) if movable and inside else path


def new_root_id() -> str:
    """Return a random id for a new root."""
    return secrets.token_hex(8)


def _new_id() -> str:
    return secrets.token_hex(16)
