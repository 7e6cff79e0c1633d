"""Check values that users and programs give, before anything is opened."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args

from localembed.core.text import is_unicode, show_path
from localembed.errors import UsageError
from localembed.types.queries import Query, SearchMode

_MAX_HITS, _MAX_LINES = 10_000, 1_000
_INT64 = 2**63


def check_query(query: Query) -> None:
    """Check all values of a query.

    Raises:
        UsageError: one of them cannot work.
    """
    if not str(query.text).strip():
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
    if query.filter.since_ns is not None:
        _check_number("since_ns", query.filter.since_ns, -_INT64, _INT64 - 1)
    _check_texts("paths", query.filter.paths)
    _check_texts("languages", query.filter.languages)
    for name, value in (("model", query.model), ("rerank", query.rerank), ("at", query.at)):
        if value is not None:
            _check_texts(name, (value,))


def check_folder(folder: Path) -> None:
    """Check the path of a workspace: LanceDB and DuckDB cannot open all that a system allows.

    DuckDB reads what follows a question mark as settings, and a backslash as a slash, so that it
    would open another workspace's manifest.

    Raises:
        UsageError: no workspace can be there.
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


def check_root_options(options: Mapping[str, Any]) -> None:
    """Check the options of roots.

    Raises:
        UsageError: a pattern is not valid text.
    """
    for name in ("include", "exclude"):
        _check_texts(name, options.get(name) or ())


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
