"""Check the index of a bundle before it is installed: its own files may name no others."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

from localembed.core.files import read_json
from localembed.errors import BundleError, LocalembedError
from localembed.models.bundle.contents import INDEX_TABLE
from localembed.store.head import read_head
from localembed.store.layout import Layout

_MAX_SMALL = 4 << 20
"""Maximum bytes of config.toml and head.json."""
_ROOT_KEYS = {
    "id": str, "path": str, "path_hex": str, "include": list, "exclude": list, "hidden": bool,
    "no_ignore": bool, "removed": list, "removed_hex": list, "elsewhere": bool,
}  # fmt: skip
_ROOT_ID = re.compile(r"[0-9a-zA-Z_-]{1,64}")


def check_index(folder: Path, bundle: Path) -> None:
    """Refuse an index whose files say what `bundle create` never writes.

    Args:
        folder: the extracted index.
        bundle: where the bundle is, for the message.

    Raises:
        BundleError: they do.
    """
    layout = Layout(folder)
    try:
        problem = _problem_of_head(layout) or _problem_of_runs(layout) or _problem_of_config(layout)
    except (LocalembedError, OSError, ValueError, RecursionError) as error:
        problem = str(error)
    if problem:
        message = (
            f"{bundle} is refused: the index in it is not one that localembed wrote: {problem}"
        )
        raise BundleError(message)


def _problem_of_head(layout: Layout) -> str | None:
    if layout.head.stat().st_size > _MAX_SMALL:
        return "head.json is too large"
    tables = read_json(layout.head).get("tables")
    if not isinstance(tables, dict) or not all(isinstance(e, dict) for e in tables.values()):
        return "head.json has no tables"
    for name, entry in tables.items():
        if not INDEX_TABLE.fullmatch(name) or not layout.table(name).is_dir():
            return f"head.json names the table {name[:80]!r}"
        if not all(type(entry.get(key)) is int for key in ("lance_version", "run")):
            return f"head.json has no version of the table {name}"
    return None if read_head(layout).default in tables else "head.json has no default table"


def _problem_of_runs(layout: Layout) -> str | None:
    for path in layout.runs.glob("*.json"):
        record = read_json(path)
        named = record.get("table", "")
        if path != layout.tags and (
            not isinstance(named, str) or (named and not INDEX_TABLE.fullmatch(named))
        ):
            return f"runs/{path.name} names the table {str(named)[:80]!r}"
    return None


def _problem_of_config(layout: Layout) -> str | None:
    if layout.config.stat().st_size > _MAX_SMALL:
        return "config.toml is too large"
    raw = tomllib.loads(layout.config.read_text("utf-8"))
    roots = raw.pop("roots", [])
    forgotten = raw.pop("forgotten", [])
    if not isinstance(roots, list) or not isinstance(forgotten, list):
        return "config.toml has no list of roots"
    other = next((key for key, value in raw.items() if isinstance(value, dict | list)), None)
    if other is not None:
        return f"config.toml has {other[:80]!r}"
    return next(filter(None, map(_problem_of_root, roots)), None)


def _problem_of_root(root: object) -> str | None:
    if not isinstance(root, Mapping):
        return "config.toml has a root that is no table"
    for key, value in root.items():
        if not isinstance(value, _ROOT_KEYS.get(key, ())):
            return f"config.toml has a root with {key[:80]!r}"
    if not _ROOT_ID.fullmatch(root.get("id", "")) or "\0" in root.get("path", "\0"):
        return "config.toml has a root without id and path"
    return None
