"""A search from its command line to its printed form, in any process.

`query` runs it in its own process, and the resident for a client: both get the same output, since
nothing here reads the environment, the current folder or stdout (see `render.screen`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from localembed.cli.render.hit_formats import context, markdown, vimgrep
from localembed.cli.render.hits import folded, hit_text, place
from localembed.cli.render.output import json_line, path_line
from localembed.cli.render.text import printable, relative
from localembed.core.text import counted
from localembed.errors import UsageError
from localembed.search.cut import cut
from localembed.types import json_forms
from localembed.types.queries import Filter, Query, QueryResult, SearchHit, SearchMode
from localembed.types.runs import Notice
from localembed.workspace.settings import Settings
from localembed.workspace.workspace import Workspace

FORMATS = ("text", "json", "jsonl", "paths", "vimgrep", "markdown", "context")
_RAW = ("json", "jsonl", "paths")
_PER_FILE = {"paths": 1, "context": 0}
"""Maximum hits of one file for forms to which the setting does not apply."""
_MAX_SHOWN = 200
"""Characters of a query that a notice repeats."""
_WITH_LINES = ("text", "json", "jsonl", "markdown")


@dataclass(frozen=True, slots=True)
class View:
    """How to show hits."""

    form: str = "text"
    """One of `FORMATS`."""
    budget: int = 2000
    """Maximum tokens of the form `context`."""
    min_score: float | None = None
    """Minimum score of a hit."""
    min_confidence: float | None = None
    """Minimum confidence of a hit."""
    lines: int = 0
    """Lines to show before and after the best one."""
    explain: bool = False
    path_end: str = "\n"
    """What follows each name of the form `paths`."""


@dataclass(frozen=True, slots=True)
class Search:
    """A command line of `query`."""

    text: str
    """The query; for a search by similarity, a path, path:line or chunk id."""
    similar: bool
    """Whether to search for what is similar to a passage."""
    mode: SearchMode | None
    """None for the setting's."""
    top_k: int | None
    """None for the setting's."""
    per_file: int | None
    """None for what suits the form."""
    options: Mapping[str, Any]
    """The other fields of a `Query`."""
    view: View

    def query(self, settings: Settings) -> Query:
        """Return the query, with the settings where the command line says nothing."""
        mode, top_k = self.mode or settings.mode, self.top_k or settings.top_k
        per_file = self.per_file
        if per_file is None:
            per_file = _PER_FILE.get(self.view.form, settings.per_file)
        return Query(self.text, mode, top_k, per_file, lines=self.view.lines, **self.options)


@dataclass(frozen=True, slots=True)
class Printed:
    """What a command prints, and its exit code."""

    code: int
    out: str
    err: tuple[str, ...] = ()
    """Notices, which --quiet drops."""
    is_raw: bool = False
    """Whether `out` is data for another program, not text for a terminal."""


def make_search(params: Mapping[str, Any], *, as_json: bool) -> Search:
    """Return the search of a parsed command line.

    Args:
        params: values of the options of `query`, by name.
        as_json: whether --json was given.

    Raises:
        UsageError: the options contradict each other.
    """
    form = "json" if as_json else "paths" if params["only_paths"] else params["form"]
    _refuse_contradictions(params, form)
    filters = Filter(params["globs"], params["langs"], params["since"], params["where"])
    similar = params["like"] is not None
    text = " ".join(params["words"])
    return Search(
        text=params["like"] if similar else text,
        similar=similar,
        mode=params["mode"],
        top_k=params["top_k"],
        per_file=params["per_file"],
        options={
            "model": params["model"],
            "filter": filters,
            "rerank": params["rerank"],
            "at": params["at"],
            "allow_network": params["allow_network"],
        },
        view=View(
            form=form,
            budget=params["budget"],
            min_score=params["min_score"],
            min_confidence=params["min_confidence"],
            lines=params["lines"] or 0,
            explain=params["explain"],
            path_end="\0" if params["null"] else "\n",
        ),
    )


def print_search(workspace: Workspace, search: Search, on_notice: Notice) -> Printed:
    """Search, and return what to print.

    Args:
        workspace: the workspace.
        search: what to search for.
        on_notice: called with the provider's name on its first query.

    Raises:
        LocalembedError: the search failed.
    """
    everything = _find(workspace, search, on_notice)
    view = search.view
    result = cut(everything, view.min_score, view.min_confidence)
    notices = _notices(result)
    if view.form == "context" and result.hits and all(h.tokens > view.budget for h in result.hits):
        notices.append(f"No hit fits within {counted(view.budget, 'token')}. Raise --budget.")
    if not result.hits:
        notices.append(
            f"Nothing{_good(view)} found for: {_beginning(result.query)}{_miss(everything)}"
        )
    elif result.good is False:
        notices.append(f"Nothing good found: {_confidence(result.hits[0])} at best.")
    return Printed(
        code=0 if result.hits else 1,
        out=_form(result, view),
        err=tuple(notices),
        is_raw=view.form in _RAW,
    )


def _find(workspace: Workspace, search: Search, on_notice: Notice) -> QueryResult:
    """Return the best hits; for the form `paths`, one of each file."""
    query = search.query(workspace.settings.settings)
    found = (workspace.like if search.similar else workspace.search)(query, on_notice)
    if search.view.form != "paths":
        return found
    files = {hit.path_bytes: hit for hit in reversed(found.hits)}
    return replace(found, hits=tuple(hit for hit in found.hits if files[hit.path_bytes] is hit))


def _good(view: View) -> str:
    return " good" if view.min_confidence is not None else ""


def _miss(everything: QueryResult) -> str:
    """Return where the best hit is, though it is below what was asked for."""
    if not everything.hits:
        return ""
    miss = everything.hits[0]
    known = f" and {_confidence(miss)}" if miss.confidence is not None else ""
    return f"; the closest is {place(miss)} with {miss.score:.3f}{known}"


def _confidence(hit: SearchHit) -> str:
    return f"confidence {hit.confidence:.2f}"


def _refuse_contradictions(params: Mapping[str, Any], form: str) -> None:
    words, like, mode = params["words"], params["like"], params["mode"]
    if bool(words) == (like is not None) or (like is not None and mode not in (None, "vector")):
        message = "Give either TEXT or --like PLACE; --like compares vectors only."
        raise UsageError(message)
    if params["rerank"] and like is not None:
        message = "--rerank needs the text of a query: give TEXT, not --like."
        raise UsageError(message)
    if params["at"] is not None and params["model"] is not None:
        message = "Each version has one model: give either --at or --model."
        raise UsageError(message)
    if params["per_file"] is not None and form == "paths":
        message = "-l prints each file once; --per-file works with the other forms."
        raise UsageError(message)
    if params["null"] and form != "paths":
        message = f"--null separates paths: it works with -l, not with --format {form}."
        raise UsageError(message)
    if params["lines"] and form not in _WITH_LINES:
        message = f"-C works with --format {', '.join(_WITH_LINES)}, not with {form}."
        raise UsageError(message)


def _notices(result: QueryResult) -> list[str]:
    notices = []
    if result.pieces > 1:
        notices.append(
            f"The query exceeds the model's limit: it was embedded as {result.pieces} chunks."
        )
    if not result.readable and result.mode != "text":
        alone = "; only its words were searched" if result.mode == "hybrid" else ""
        notices.append(
            f"{result.model} cannot read the query{alone}. A multilingual model can, see: "
            "localembed models list"
        )
    if stale := tuple(dict.fromkeys(hit.path for hit in result.hits if hit.stale)):
        first = printable(relative(stale[0]))
        more = f" and {counted(len(stale) - 1, 'more file')}" if stale[1:] else ""
        verb = "have" if more else "has"
        notices.append(f"{first}{more} {verb} changed since the last run. Run: localembed index")
    if not result.complete:
        notices.append("The index is not complete yet; later queries may find more.")
    return notices


def _beginning(query: str) -> str:
    """Return a query on one line, without the rest of a very long one."""
    shown = printable(query)
    return shown if len(shown) <= _MAX_SHOWN else f"{shown[:_MAX_SHOWN]}…"


def _form(result: QueryResult, view: View) -> str:
    if view.form == "json":
        return json_line(json_forms.query_json(result))
    if view.form == "paths":
        return "".join(path_line(hit.path_bytes, view.path_end) for hit in result.hits)
    if view.form == "context":
        return context(result.hits, view.budget)
    if view.form == "text":
        return "".join(
            hit_text(rank, hit, result.query, others, lines=view.lines, explain=view.explain) + "\n"
            for rank, hit, others in folded(result.hits)
        )
    lines = []
    for rank, hit in enumerate(result.hits, start=1):
        if view.form == "jsonl":
            lines.append(json_line(json_forms.hit_json(rank, hit)))
        elif view.form == "vimgrep":
            lines.append(vimgrep(hit, result.query) + "\n")
        else:
            lines.append(markdown(rank, hit) + "\n")
    return "".join(lines)
