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

from localembed.cli.options import Common, common, language_names, model_names
from localembed.cli.render.hit_formats import context, markdown, vimgrep
from localembed.cli.render.hits import folded, hit_json, hit_text, place, query_json
from localembed.cli.render.text import printable
from localembed.core.text import counted
from localembed.errors import UsageError
from localembed.types.queries import Filter, Query, QueryResult, SearchMode
from localembed.workspace.workspace import Workspace

FORMATS = ("text", "json", "jsonl", "paths", "vimgrep", "markdown", "context")
_WITH_LINES = ("text", "json", "jsonl", "markdown")
_AGO = re.compile(r"(\d{1,6})([hdw])")
_HOURS = {"h": 1, "d": 24, "w": 24 * 7}


def _moment(_ctx: click.Context, _param: click.Parameter, value: str | None) -> int | None:
    """Return a moment in nanoseconds since 1970: so long ago, or a date here."""
    if value is None:
        return None
    ago = _AGO.fullmatch(value)
    try:
        if ago:
            hours = int(ago[1]) * _HOURS[ago[2]]
            moment = datetime.datetime.now().astimezone() - datetime.timedelta(hours=hours)
        else:
            moment = datetime.datetime.fromisoformat(value).astimezone()
    except (ValueError, OverflowError):
        message = f"{value!r} is neither 12h, 7d or 2w nor a date such as 2026-11-01"
        raise click.BadParameter(message) from None
    return int(moment.timestamp() * 1e9)


@click.command()
@click.argument("text", required=False)
@click.option("--mode", type=click.Choice(["hybrid", "vector", "text"]), help="Default: hybrid.")
@click.option("-k", "--top-k", type=click.IntRange(1, 10_000), metavar="N", help="Default: 10.")
@click.option("--format", "form", type=click.Choice(FORMATS), default="text")
@click.option("-l", "only_paths", is_flag=True, help="Only the paths: --format paths.")
@click.option(
    "--budget",
    type=click.IntRange(1),
    default=2000,
    metavar="N",
    help="Tokens of --format context (default 2000).",
)
@click.option("--min-score", type=float, metavar="X", help="Only hits with at least this score.")
@click.option(
    "-C",
    "--lines",
    type=click.IntRange(1, 1000),
    metavar="N",
    help="Show N lines around the best one, those beside the chunk too.",
)
@click.option(
    "--rerank",
    metavar="MODEL",
    shell_complete=model_names,
    help="Let this cross-encoder order the best 50 anew (slow).",
)
@click.option("--explain", is_flag=True, help="Show what each part of the search says of a hit.")
@click.option(
    "--path",
    "globs",
    multiple=True,
    metavar="GLOB",
    help="Only files that match, such as *.md or docs/; repeatable.",
)
@click.option(
    "--lang",
    "langs",
    multiple=True,
    metavar="NAME",
    shell_complete=language_names,
    help="Only files of this language, such as python or md; repeatable.",
)
@click.option(
    "--since",
    callback=_moment,
    metavar="WHEN",
    help="Only files changed since: 12h, 7d, 2w or a date.",
)
@click.option(
    "--where", metavar="SQL", help="Only chunks for which this holds, such as: tokens > 9"
)
@click.option(
    "--model", metavar="NAME", shell_complete=model_names, help="Search this model's table."
)
@click.option("--at", metavar="VERSION", help="Search what a run left: its number, or a tag.")
@click.option(
    "--like",
    metavar="PLACE",
    help="Instead of TEXT: what is like this path, path:line or chunk id.",
)
@click.option("--allow-network", is_flag=True, help="Let a server's model embed the query.")
@click.option("--no-resident", is_flag=True, help="Answer here, and leave no process behind.")
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
    """Search for TEXT by meaning and by words, the best first.

    With - as TEXT, questions are read from stdin, one a line: JSON strings, or objects with
    "query". Each is answered by one line, as with --json.

    Filters are applied before the search, so all hits that are asked for come from what they leave.
    Exits with 1 when nothing is found.
    """
    form = "json" if options.as_json else "paths" if only_paths else form
    _refuse_contradictions(text, like, mode, rerank)
    if at is not None and model is not None:
        message = "A version has one model: give either --at or --model."
        raise UsageError(message)
    if lines and form not in _WITH_LINES:
        message = f"-C works with --format {', '.join(_WITH_LINES)}, not with {form}."
        raise UsageError(message)
    # Before NumPy is imported: a second thread gains a short query nothing on a quiet machine, and
    # costs it tenths of a second on a busy one.
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
    _say_what_to_know(result, options)
    _print(result, form, budget, request.lines, explain)
    if form == "context" and result.hits and all(hit.tokens > budget for hit in result.hits):
        options.notice(f"No hit fits into {counted(budget, 'token')}. Raise --budget.")
    if options.session.workspaces is None and not no_resident:
        _leave_resident(workspace, options)
    if not result.hits:
        miss = next(iter(everything.hits), None)
        near_by = f"; the nearest is {place(miss)} with {miss.score:.3f}" if miss else ""
        options.notice(f"Nothing found for: {printable(result.query)}{near_by}")
        return 1
    return 0


def _refuse_contradictions(
    text: str | None, like: str | None, mode: SearchMode | None, rerank: str | None
) -> None:
    if (text is None) == (like is None) or (like is not None and mode not in (None, "vector")):
        message = "Give either TEXT or --like PLACE; --like compares vectors only."
        raise UsageError(message)
    if rerank and like is not None:
        message = "--rerank reads a question: it works with TEXT, not with --like."
        raise UsageError(message)


def _say_what_to_know(result: QueryResult, options: Common) -> None:
    if result.pieces > 1:
        options.notice(
            f"The query is longer than the model reads: it was embedded in {result.pieces} pieces."
        )
    if not result.complete:
        options.notice("The index is not complete yet; more may be found later.")


def _above(result: QueryResult, least: float | None) -> QueryResult:
    """Leave out what scores less."""
    if least is None:
        return result
    return replace(result, hits=tuple(hit for hit in result.hits if hit.score >= least))


def _answer_lines(search: Callable[[str], QueryResult]) -> int:
    """Answer every question on stdin; return 1 if nothing was found for any of them."""
    found = False
    for number, line in enumerate(sys.stdin, start=1):
        if line.strip():
            result = search(_question(line, number))
            found = found or bool(result.hits)
            click.echo(json.dumps(query_json(result)))
    return 0 if found else 1


def _question(line: str, number: int) -> str:
    """Return the question of a line.

    Raises:
        UsageError: it is neither a string nor an object with one.
    """
    try:
        row = json.loads(line)
    except ValueError:
        row = None
    text = row.get("query") if isinstance(row, dict) else row
    if isinstance(text, str):
        return text
    message = f'Line {number} must be a JSON string, or an object with "query".'
    raise UsageError(message)


def _leave_resident(workspace: Workspace, options: Common) -> None:
    """Start what answers the next queries, unless it is not wanted; what fails is no error here."""
    from localembed.server import start

    minutes = workspace.settings.settings.resident_minutes
    if not minutes or os.environ.get("CI") or start.is_running(workspace.folder):
        return
    try:
        start.start(workspace.folder)
    except OSError:
        return
    options.notice(
        f"The next queries are answered by a process that ends after {minutes} idle minutes "
        "(see: localembed serve -h)."
    )


def _print(result: QueryResult, form: str, budget: int, lines: int, explain: bool) -> None:
    if form == "json":
        click.echo(json.dumps(query_json(result)))
    elif form == "paths":
        for path in dict.fromkeys(hit.path for hit in result.hits):
            # A pipe gets the name as it is; without `color` click takes escapes out.
            click.echo(printable(path) if sys.stdout.isatty() else path, color=True)
    elif form == "context":
        click.echo(context(result.hits, budget), nl=False)
    elif form == "text":
        for rank, hit, others in folded(result.hits):
            click.echo(hit_text(rank, hit, result.query, others, lines=lines, explain=explain))
    else:
        for rank, hit in enumerate(result.hits, start=1):
            if form == "jsonl":
                click.echo(json.dumps(hit_json(rank, hit)))
            elif form == "vimgrep":
                click.echo(vimgrep(hit, result.query))
            else:
                click.echo(markdown(rank, hit))
