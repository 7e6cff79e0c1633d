"""Make a query from the keywords of the Python API."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import TypedDict

from localembed.core.moments import parse_moment
from localembed.errors import UsageError
from localembed.types.queries import EVERYTHING, Filter, SearchMode
from localembed.workspace.value_checks import check_kind


class QueryKeywords(TypedDict, total=False):
    """The keywords of `Workspace.query`, which describes each."""

    top_k: int | None
    per_file: int | None
    mode: SearchMode | None
    model: str | None
    filter: Filter
    path: str | Sequence[str]
    lang: str | Sequence[str]
    since: str | datetime.datetime | None
    where: str | None
    min_score: float | None
    min_confidence: float | None
    rerank: str | None
    at: str | None
    like: str | None


def query_text(
    text: str | None, like: str | None, mode: SearchMode | None, rerank: str | None
) -> str:
    """Return what to search for: a text, or the place that hits are to resemble.

    Raises:
        UsageError: there is neither or both, or `like` has keywords that need a text.
    """
    if like is None:
        check_kind("The query", text, str, "text; to search by a passage, give like=PLACE")
        return str(text)
    if text is not None or mode not in (None, "vector"):
        message = "Give either a text or like=PLACE; like compares vectors only."
        raise UsageError(message)
    if rerank is not None:
        message = "rerank needs the text of a query: give a text, not like."
        raise UsageError(message)
    return like


def query_filter(
    filter: Filter,
    path: str | Sequence[str],
    lang: str | Sequence[str],
    since: str | datetime.datetime | None,
    where: str | None,
) -> Filter:
    """Return the filter of a query, given as one record or by plain keywords.

    Raises:
        UsageError: it is given in both ways, or `since` is no moment.
    """
    plain = Filter(_texts("path", path), _texts("lang", lang), _moment(since), where)
    if plain == EVERYTHING:
        return filter
    if filter != EVERYTHING:
        message = "Give either filter, or path, lang, since and where."
        raise UsageError(message)
    return plain


def _texts(name: str, value: str | Sequence[str]) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    check_kind(name, value, Sequence, 'a text or several, such as ("*.md", "*.rst")')
    return tuple(value)


def _moment(since: str | datetime.datetime | None) -> int | None:
    if since is None:
        return None
    check_kind("since", since, str | datetime.datetime, "a duration, a date or a datetime")
    try:
        return parse_moment(since if isinstance(since, str) else since.isoformat())
    except ValueError as error:
        message = f"since is {error}."
        raise UsageError(message) from None
