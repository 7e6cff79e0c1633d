"""Check values that users and programs give, before anything is opened."""

from __future__ import annotations

import errno
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args

from localembed.core.text import is_unicode, show_path
from localembed.errors import StorageError, UsageError
from localembed.types.queries import Filter, Query, SearchMode

_MAX_HITS, _MAX_LINES = 10_000, 1_000
_INT64 = 2**63


def check_query(query: Query) -> None:
    """Check all values of a query.

    Raises:
        UsageError: one of them cannot work.
    """
    _check_kind("The query", query.text, str, "text")
    if not query.text.strip():
        message = 'The query is empty. Say what to look for: localembed query "some words"'
        raise UsageError(message)
    if not is_unicode(query.text):
        message = "The query is not valid UTF-8. Type it in a terminal that uses UTF-8."
        raise UsageError(message)
    modes = get_args(SearchMode)
    if query.mode not in modes:
        message = f"mode is {query.mode!r}, but must be one of {', '.join(modes)}."
        raise UsageError(message)
    _check_number("top_k", query.top_k, 1, _MAX_HITS)
    _check_number("lines", query.lines, 0, _MAX_LINES)
    _check_kind("filter", query.filter, Filter, "a localembed.Filter")
    if query.filter.since_ns is not None:
        _check_number("since_ns", query.filter.since_ns, -_INT64, _INT64 - 1)
    _check_texts("paths", query.filter.paths)
    _check_texts("languages", query.filter.languages)
    for name, value in (("model", query.model), ("rerank", query.rerank), ("at", query.at)):
        if value is not None:
            _check_texts(name, (value,))


def check_place(place: str, model: str | None, at: str | None) -> None:
    """Check what `show` is asked for.

    Raises:
        UsageError: one of them cannot work.
    """
    check_paths((place,), "place")
    for name, value in (("model", model), ("at", at)):
        if value is not None:
            _check_texts(name, (value,))


def check_cost(max_cost: float | None) -> None:
    """Check a limit of costs.

    Raises:
        UsageError: it is no amount.
    """
    if max_cost is None:
        return
    if type(max_cost) not in (int, float) or not 0 <= max_cost < math.inf:
        message = f"max_cost is {max_cost!r}, but must be an amount in US dollars."
        raise UsageError(message)


def check_folder(folder: Path) -> None:
    """Check the path of a workspace: LanceDB and DuckDB cannot open all that a system allows.

    DuckDB reads what follows a question mark as settings, and a backslash as a slash, so that it
    would open another workspace's manifest.

    Raises:
        UsageError: no workspace can be there.
        StorageError: it would be below a file.
    """
    text = str(folder)
    forbidden = "?" if os.sep == "\\" else "?\\"
    odd = next((c for c in text if c in forbidden or not c.isprintable()), None)
    if odd is not None:
        message = (
            f"{show_path(os.fsencode(folder))} cannot be a workspace: its path contains "
            f"{odd!a}, which LanceDB or DuckDB cannot open. Name another folder: --workspace "
            "DIR"
        )
        raise UsageError(message)
    try:
        (folder / "config.toml").lstat()
    except OSError as error:
        if error.errno in (errno.ENAMETOOLONG, errno.ENOTDIR):
            message = f"{text} cannot be a folder: {error.strerror}. Name another one."
            kind = UsageError if error.errno == errno.ENAMETOOLONG else StorageError
            raise kind(message) from error


def check_paths(paths: Iterable[object], name: str = "paths") -> None:
    """Check the paths of roots, files and folders: an empty one would be the current folder.

    Raises:
        UsageError: one of them is no path.
    """
    if isinstance(paths, str | bytes | os.PathLike):
        message = f"{name} is one path, but must be several, such as [{os.fspath(paths)!r}]."
        raise UsageError(message)
    for path in paths:
        text = os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else ""
        if not text or "\0" in text:
            message = f"{name} contains {path!r}, which is no path. Name a file or a folder."
            raise UsageError(message)


def check_root_options(options: Mapping[str, Any]) -> None:
    """Check the options of roots.

    Raises:
        UsageError: a pattern is not valid text.
    """
    _check_kind("options", options, Mapping, 'a mapping such as {"include": ("*.md",)}')
    for name in ("include", "exclude"):
        _check_texts(name, options.get(name) or ())


def _check_kind(name: str, value: object, kind: type, what: str) -> None:
    if not isinstance(value, kind):
        message = f"{name} is {value!r}, but must be {what}."
        raise UsageError(message)


def _check_number(name: str, value: object, low: int, high: int) -> None:
    if type(value) is not int or not low <= value <= high:
        message = f"{name} is {value!r}, but must be a whole number from {low:,} to {high:,}."
        raise UsageError(message)


def _check_texts(name: str, values: Iterable[object]) -> None:
    if isinstance(values, str):
        message = f"{name} is one text, but must be several, such as ({values!r},)."
        raise UsageError(message)
    for value in values:
        if not isinstance(value, str) or not value or "\0" in value or not is_unicode(value):
            message = f"{name} contains {value!r}, but must be text that is not empty, in UTF-8."
            raise UsageError(message)
