"""Make the path patterns of a query independent of the current folder."""

from __future__ import annotations

import os
import re
from dataclasses import replace

from localembed.core.paths import canonical
from localembed.core.text import show_path
from localembed.types.queries import Filter

_WILDCARD = re.compile(r"[*?[]")


def resolved_paths(filter: Filter, folder: str | None) -> Filter:
    """Return a filter whose patterns do not depend on a folder.

    Args:
        filter: the filter; a pattern with `.` or `..`, such as `./a.md`, is relative to a folder,
            and any other relative one matches at any depth.
        folder: that folder; None for the current one.
    """
    if not filter.paths:
        return filter
    here = folder if folder is not None else os.getcwd()  # noqa: PTH109 - joined as text
    found = (each for pattern in filter.paths for each in _spellings(pattern, here))
    return replace(filter, paths=tuple(dict.fromkeys(found)))


def _spellings(pattern: str, folder: str) -> list[str]:
    """Return a pattern, and for an absolute one the same without links in its folders."""
    parts = pattern.split("/")
    if not (pattern.startswith("/") or {".", ".."}.intersection(parts)):
        return [pattern]
    whole = os.path.normpath(os.path.join(folder, pattern))  # noqa: PTH118 - a string
    end = "/" if parts[-1] == "" and whole != "/" else ""
    return [f"{shown}{end}" for shown in dict.fromkeys((_shown(whole), _without_links(whole)))]


def _without_links(whole: str) -> str:
    wild = None if os.path.lexists(whole) else _WILDCARD.search(whole)
    fixed = whole if wild is None else whole[: whole.rfind("/", 0, wild.start()) + 1]
    plain = os.fsdecode(canonical(os.fsencode(fixed)))
    return _shown(os.path.join(plain, whole[len(fixed) :]) if wild else plain)  # noqa: PTH118


def _shown(path: str) -> str:
    return show_path(os.fsencode(path))
