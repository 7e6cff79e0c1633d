"""Check values that users and programs give, before anything is opened."""

from __future__ import annotations

import difflib
import errno
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, get_args

from localembed.core.text import is_unicode, show_path
from localembed.errors import StorageError, UsageError
from localembed.types.queries import Filter, Query, SearchMode

_MAX_HITS, _MAX_LINES = 10_000, 1_000
_INT64 = 2**63
_PATTERNS, _SWITCHES = ("include", "exclude"), ("hidden", "no_ignore")
"""Options of a root."""


def check_query(query: Query) -> None:
    """Check all values of a query.

    Raises:
        UsageError: one of them cannot work.
    """
    check_kind("query", query, Query, "a localembed.Query")
    check_kind("The query", query.text, str, "text")
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
    check_number("top_k", query.top_k, 1, _MAX_HITS)
    check_number("per_file", query.per_file, 0, _MAX_HITS)
    check_number("lines", query.lines, 0, _MAX_LINES)
    check_flags(allow_network=query.allow_network)
    check_kind("filter", query.filter, Filter, "a localembed.Filter")
    if query.filter.since_ns is not None:
        check_number("since_ns", query.filter.since_ns, -_INT64, _INT64 - 1)
    _check_texts("paths", query.filter.paths)
    _check_texts("languages", query.filter.languages)
    if query.filter.where is not None:
        check_kind("where", query.filter.where, str, "an SQL condition")
    check_names(model=query.model, rerank=query.rerank, at=query.at)
    _check_one_table(query.model, query.at)


def check_similar(query: Query) -> None:
    """Check all values of a query for what is similar to a passage.

    Raises:
        UsageError: one of them cannot work.
    """
    check_query(query)
    if query.rerank is not None:
        message = "rerank needs the text of a query: use search, not like."
        raise UsageError(message)


def check_place(place: str, model: str | None, at: str | None) -> None:
    """Check what `show` is asked for.

    Raises:
        UsageError: one of them cannot work.
    """
    check_paths((place,), "place")
    check_names(model=model, at=at)
    _check_one_table(model, at)


def _check_one_table(model: str | None, at: str | None) -> None:
    if model is not None and at is not None:
        message = "Each version has one model: give either at or model."
        raise UsageError(message)


def check_minimums(min_score: float | None, min_confidence: float | None) -> None:
    """Check the minimum score and confidence of a hit.

    Raises:
        UsageError: one of them is no such number.
    """
    if min_score is not None and not _is_number(min_score):
        message = f"min_score is {min_score!r}, but must be a finite number."
        raise UsageError(message)
    if min_confidence is None or (_is_number(min_confidence) and 0 <= min_confidence <= 1):
        return
    message = f"min_confidence is {min_confidence!r}, but must be a number from 0 to 1."
    raise UsageError(message)


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]


def check_budget(budget: int) -> None:
    """Check a budget of tokens.

    Raises:
        UsageError: it is no positive whole number.
    """
    check_number("budget", budget, 1, _INT64 - 1)


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


def check_folder(folder: str | os.PathLike[str]) -> None:
    """Check the path of a workspace: LanceDB and DuckDB cannot open all that a system allows.

    DuckDB reads what follows a question mark as settings, and a backslash as a slash, so that it
    would open another workspace's manifest.

    Raises:
        UsageError: no workspace can be there.
        StorageError: it would be below a file.
    """
    check_paths((folder,), "folder")
    text = os.fsdecode(folder)
    forbidden = "?" if os.sep == "\\" else "?\\"
    odd = next((c for c in text if c in forbidden or not c.isprintable()), None)
    if odd is not None:
        message = (
            f"{show_path(os.fsencode(text))} cannot be a workspace: its path contains "
            f"{odd!a}, which LanceDB or DuckDB cannot open. Name another folder: --workspace "
            "DIR"
        )
        raise UsageError(message)
    try:
        (Path(text) / "config.toml").lstat()
    except OSError as error:
        if error.errno in (errno.ENAMETOOLONG, errno.ENOTDIR):
            message = f"{text} cannot be a folder: {error.strerror}. Name another one."
            kind = UsageError if error.errno == errno.ENAMETOOLONG else StorageError
            raise kind(message) from error


def check_paths(paths: Iterable[object] | object, name: str = "paths") -> None:
    """Check the paths of roots, files and folders: an empty one would be the current folder.

    Raises:
        UsageError: one of them is no path.
    """
    if not isinstance(paths, Iterable):
        message = f"{name} is {paths!r}, but must be several paths, such as ['notes']."
        raise UsageError(message)
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
        UsageError: there is no such option, or a value cannot work.
    """
    check_kind("options", options, Mapping, 'a mapping such as {"include": ("*.md",)}')
    for name in options:
        if name not in (*_PATTERNS, *_SWITCHES):
            known = ", ".join((*_PATTERNS, *_SWITCHES))
            message = f"options has {name!r}, but a root has only these: {known}."
            raise UsageError(message)
    for name in _PATTERNS:
        if options.get(name) is not None:
            _check_texts(name, options[name])
    check_flags(**{name: options[name] for name in _SWITCHES if options.get(name) is not None})


def check_settings(flags: Mapping[str, object], known: Iterable[str]) -> None:
    """Check the names of settings.

    Raises:
        UsageError: there is no setting of a name.
    """
    check_kind("flags", flags, Mapping, 'a mapping such as {"top_k": 3}')
    known = tuple(known)
    for name in flags:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1)
            hint = f"Did you mean {near[0]}?" if near else f"Settings: {', '.join(known)}."
            message = f"There is no setting {name!r}. {hint}"
            raise UsageError(message)


def check_flags(**values: object) -> None:
    """Check switches: a text such as "no" would count as true.

    Raises:
        UsageError: one of them is neither True nor False.
    """
    for name, value in values.items():
        check_kind(name, value, bool, "True or False")


def check_names(**values: object) -> None:
    """Check names, versions and conditions that may be None.

    Raises:
        UsageError: one of them is no text, empty, or not valid Unicode.
    """
    for name, value in values.items():
        if value is not None:
            check_kind(name, value, str, "text")
            _check_texts(name, (value,))


def check_listeners(**values: object) -> None:
    """Check functions to call.

    Raises:
        UsageError: one of them cannot be called.
    """
    for name, value in values.items():
        if not callable(value):
            message = f"{name} is {value!r}, but must be a function."
            raise UsageError(message)


def check_kind(name: str, value: object, kind: type | UnionType, what: str) -> None:
    """Check the type of a value.

    Args:
        name: what the message calls it.
        value: the value.
        kind: the type that it must have.
        what: that type in words.

    Raises:
        UsageError: it has another one.
    """
    if not isinstance(value, kind):
        message = f"{name} is {value!r}, but must be {what}."
        raise UsageError(message)


def check_number(name: str, value: object, low: int, high: int) -> None:
    """Check a whole number and its bounds; True is none.

    Raises:
        UsageError: it is none, or out of bounds.
    """
    if type(value) is not int or not low <= value <= high:
        message = f"{name} is {value!r}, but must be a whole number from {low:,} to {high:,}."
        raise UsageError(message)


def _check_texts(name: str, values: Iterable[object]) -> None:
    if isinstance(values, str):
        message = f"{name} is one text, but must be several, such as ({values!r},)."
        raise UsageError(message)
    check_kind(name, values, Sequence, 'several texts, such as ("*.md", "*.rst")')
    for value in values:
        if not isinstance(value, str) or not value or "\0" in value or not is_unicode(value):
            message = f"{name} contains {value!r}, but must be text that is not empty, in UTF-8."
            raise UsageError(message)
