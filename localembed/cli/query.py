"""`localembed query`."""

from __future__ import annotations

import datetime
import json
import os
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import click

from localembed.cli.options import FINITE, Common, common, language_names, model_names
from localembed.cli.render.hit_formats import context, markdown, vimgrep
from localembed.cli.render.hits import folded, hit_text, place
from localembed.cli.render.output import echo, echo_json, echo_path
from localembed.cli.render.text import printable
from localembed.core.text import counted
from localembed.errors import UsageError
from localembed.types import json_forms
from localembed.types.queries import Filter, Query, QueryResult, SearchMode
from localembed.workspace.workspace import Workspace

FORMATS = ("text", "json", "jsonl", "paths", "vimgrep", "markdown", "context")
_WITH_LINES = ("text", "json", "jsonl", "markdown")
_AGO = re.compile(r"(\d{1,6})([hdw])")
_MAX_NANOSECONDS = 2**63
"""Times are stored as nanoseconds in 64 bits."""
_HOURS = {"h": 1, "d": 24, "w": 24 * 7}


def _moment(_ctx: click.Context, _param: click.Parameter, value: str | None) -> int | None:
    """Parse a duration before now, or a local date, to nanoseconds since 1970."""
    if value is None:
        return None
    ago = _AGO.fullmatch(value)
    try:
        if ago:
            hours = int(ago[1]) * _HOURS[ago[2]]
            moment = datetime.datetime.now().astimezone() - datetime.timedelta(hours=hours)
        else:
            moment = datetime.datetime.fromisoformat(value).astimezone()
        nanoseconds = int(moment.timestamp() * 1e9)
    except (ValueError, OverflowError, OSError):
        message = f"{value!r} is neither a duration (12h, 7d, 2w) nor a date such as 2026-11-01"
        raise click.BadParameter(message) from None
    if abs(nanoseconds) >= _MAX_NANOSECONDS:
        message = f"{value!r} is outside of the years 1678 to 2261"
        raise click.BadParameter(message)
    return nanoseconds


@click.command()
@click.argument("text", required=False)
@click.option("--mode", type=click.Choice(["hybrid", "vector", "text"]), help="Default: hybrid.")
@click.option("-k", "--top-k", type=click.IntRange(1, 10_000), metavar="N", help="Default: 10.")
@click.option("--format", "form", type=click.Choice(FORMATS), default="text")
@click.option("-l", "only_paths", is_flag=True, help="Print only paths, like --format paths.")
@click.option(
    "--budget",
    type=click.IntRange(1),
    default=2000,
    metavar="N",
    help="Maximum tokens for --format context (default 2000).",
)
@click.option("--min-score", type=FINITE, metavar="X", help="Only hits with at least this score.")
@click.option(
    "-C",
    "--lines",
    type=click.IntRange(1, 1000),
    metavar="N",
    help="Show N lines before and after the best one, even outside the chunk.",
)
@click.option(
    "--rerank",
    metavar="MODEL",
    shell_complete=model_names,
    help="Rerank the top 50 with this cross-encoder (slow).",
)
@click.option("--explain", is_flag=True, help="Show how each part of the search scored a hit.")
@click.option(
    "--path",
    "globs",
    multiple=True,
    metavar="GLOB",
    help="Only matching files, such as *.md or docs/; repeatable.",
)
@click.option(
    "--lang",
    "langs",
    multiple=True,
    metavar="NAME",
    shell_complete=language_names,
    help="Only files in this language, such as python or md; repeatable.",
)
@click.option(
    "--since",
    callback=_moment,
    metavar="WHEN",
    help="Only files changed since: 12h, 7d, 2w or a date.",
)
@click.option("--where", metavar="SQL", help="Only chunks that match this, such as: tokens > 9")
@click.option(
    "--model", metavar="NAME", shell_complete=model_names, help="Search this model's table."
)
@click.option("--at", metavar="VERSION", help="Search an earlier version: a run or tag.")
@click.option(
    "--like",
    metavar="PLACE",
    help="Find chunks similar to this path, path:line or chunk ID, instead of TEXT.",
)
@click.option("--allow-network", is_flag=True, help="Allow a remote model to embed the query.")
@click.option("--no-resident", is_flag=True, help="Neither use nor start a background process.")
@common
def query(
    options: Common,
    text: str | None,
    mode: SearchMode | None,
    top_k: int | None,
    form: str,
    only_paths: bool,
    budget: int,
    min_score: float | None,
    lines: int | None,
    rerank: str | None,
    explain: bool,
    globs: tuple[str, ...],
    langs: tuple[str, ...],
    since: int | None,
    where: str | None,
    model: str | None,
    at: str | None,
    like: str | None,
    allow_network: bool,
    no_resident: bool,
) -> int:
    """Search for TEXT by meaning and by words, best hits first.

    With - as TEXT, queries are read from stdin, one per line: JSON strings, or objects with
    "query". Each is answered by one line of output, as with --json.

    Filters are applied before the search, so you get as many hits as you request if enough chunks
    match. Exits with 1 if nothing is found.
    """
    form = "json" if options.as_json else "paths" if only_paths else form
    _refuse_contradictions(text, like, mode, rerank)
    if at is not None and model is not None:
        message = "Each version has one model: give either --at or --model."
        raise UsageError(message)
    if lines and form not in _WITH_LINES:
        message = f"-C works with --format {', '.join(_WITH_LINES)}, not with {form}."
        raise UsageError(message)
    # Set before NumPy is imported: for a short query, a second thread gains nothing on an idle
    # machine and costs tenths of a second on a busy one.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    workspace = options.workspace()
    settings = workspace.settings.settings
    request = Query(
        text=like or text or "",
        mode=mode or settings.mode,
        top_k=top_k or settings.top_k,
        model=model,
        filter=Filter(globs, langs, since, where),
        lines=lines or 0,
        rerank=rerank,
        at=at,
        allow_network=allow_network,
    )
    search = partial(workspace.search, on_notice=options.notice)
    if text == "-":
        return _answer_lines(lambda line: _above(search(replace(request, text=line)), min_score))
    everything = search(request) if like is None else workspace.like(request)
    result = _above(everything, min_score)
    _print_notices(result, options)
    _print(result, form, budget, request.lines, explain)
    if form == "context" and result.hits and all(hit.tokens > budget for hit in result.hits):
        options.notice(f"No hit fits within {counted(budget, 'token')}. Raise --budget.")
    if options.session.workspaces is None and not no_resident:
        _start_resident(workspace, options)
    if not result.hits:
        miss = next(iter(everything.hits), None)
        closest = f"; the closest is {place(miss)} with {miss.score:.3f}" if miss else ""
        options.notice(f"Nothing found for: {printable(result.query)}{closest}")
        return 1
    return 0


def _refuse_contradictions(
    text: str | None, like: str | None, mode: SearchMode | None, rerank: str | None
) -> None:
    if (text is None) == (like is None) or (like is not None and mode not in (None, "vector")):
        message = "Give either TEXT or --like PLACE; --like compares vectors only."
        raise UsageError(message)
    if rerank and like is not None:
        message = "--rerank needs the text of a query: give TEXT, not --like."
        raise UsageError(message)


def _print_notices(result: QueryResult, options: Common) -> None:
    if result.pieces > 1:
        options.notice(
            f"The query exceeds the model's limit: it was embedded as {result.pieces} chunks."
        )
    if not result.complete:
        options.notice("The index is not complete yet; later queries may find more.")


def _above(result: QueryResult, least: float | None) -> QueryResult:
    """Drop hits below a score."""
    if least is None:
        return result
    return replace(result, hits=tuple(hit for hit in result.hits if hit.score >= least))


def _answer_lines(search: Callable[[str], QueryResult]) -> int:
    """Answer every query on stdin; return 1 if none of them found anything."""
    found = False
    for number, line in enumerate(sys.stdin, start=1):
        if line.strip():
            result = search(_question(line, number))
            found = found or bool(result.hits)
            echo_json(json_forms.query_json(result))
    return 0 if found else 1


def _question(line: str, number: int) -> str:
    """Return the query text of a line.

    Raises:
        UsageError: the line is neither a JSON string nor an object with "query".
    """
    try:
        row = json.loads(line)
    except ValueError:
        row = None
    text = row.get("query") if isinstance(row, dict) else row
    if isinstance(text, str):
        return text
    message = f'Line {number} must be a JSON string or an object with "query".'
    raise UsageError(message)


def _start_resident(workspace: Workspace, options: Common) -> None:
    """Start a background process for later queries, if enabled; a failure is no error here."""
    from localembed.server import start

    minutes = workspace.settings.settings.resident_minutes
    if not minutes or os.environ.get("CI") or start.is_running(workspace.folder):
        return
    try:
        start.start(workspace.folder)
    except OSError:
        return
    options.notice(
        f"A background process answers the next queries and exits after {minutes} idle minutes "
        "(see: localembed serve -h)."
    )


def _print(result: QueryResult, form: str, budget: int, lines: int, explain: bool) -> None:
    if form == "json":
        echo_json(json_forms.query_json(result))
    elif form == "paths":
        for path in dict.fromkeys(hit.path for hit in result.hits):
            echo_path(path)
    elif form == "context":
        echo(context(result.hits, budget), nl=False)
    elif form == "text":
        for rank, hit, others in folded(result.hits):
            echo(hit_text(rank, hit, result.query, others, lines=lines, explain=explain))
    else:
        for rank, hit in enumerate(result.hits, start=1):
            if form == "jsonl":
                echo_json(json_forms.hit_json(rank, hit))
            elif form == "vimgrep":
                echo(vimgrep(hit, result.query))
            else:
                echo(markdown(rank, hit))
