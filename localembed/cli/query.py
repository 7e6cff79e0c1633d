"""`localembed query`."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import click

from localembed.cli.options import FINITE, FRACTION, Common, common, language_names, model_names
from localembed.cli.render.output import echo, echo_json, echo_raw
from localembed.cli.searching import FORMATS, Search, make_search, print_search
from localembed.core.moments import parse_moment
from localembed.errors import UsageError
from localembed.search.cut import cut
from localembed.types import json_forms
from localembed.workspace.workspace import Workspace

_OBJECT = re.compile(r'\s*\{\s*"')
"""How a JSON object begins, but no question."""


def _moment(_ctx: click.Context, _param: click.Parameter, value: str | None) -> int | None:
    """Parse a duration before now, or a local date, to nanoseconds since 1970."""
    if value is None:
        return None
    try:
        return parse_moment(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command()
@click.argument("words", nargs=-1, metavar="[TEXT]...")
@click.option("--mode", type=click.Choice(["hybrid", "vector", "text"]), help="Default: hybrid.")
@click.option("-k", "--top-k", type=click.IntRange(1, 10_000), metavar="N", help="Default: 10.")
@click.option(
    "--per-file",
    type=click.IntRange(0, 10_000),
    metavar="N",
    help="Maximum hits of one file, 0 for no maximum (default 2).",
)
@click.option("--format", "form", type=click.Choice(FORMATS), default="text")
@click.option("-l", "only_paths", is_flag=True, help="Print only paths, like --format paths.")
@click.option("-0", "--null", is_flag=True, help="End paths with NUL instead of a line end.")
@click.option(
    "--budget",
    type=click.IntRange(1),
    default=2000,
    metavar="N",
    help="Maximum tokens for --format context (default 2000).",
)
@click.option("--min-score", type=FINITE, metavar="X", help="Only hits with at least this score.")
@click.option(
    "--min-confidence",
    type=FRACTION,
    metavar="X",
    help="Only hits that are answers with at least this probability, 0 to 1.",
)
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
    **params: Any,  # noqa: ANN401 - click passes the options declared above
) -> int:
    """Search for TEXT by meaning and by words, best hits first.

    Several words need no quotes. With - as TEXT, queries are read from stdin, one per line: plain
    text, JSON strings, or objects with "query". Each is answered by one line of output, as with
    --json.

    Filters are applied before the search, so you get as many hits as you request if enough chunks
    match. Exits with 1 if nothing is found.
    """
    # Set before NumPy is imported: for a short query, a second thread gains nothing on an idle
    # machine and costs tenths of a second on a busy one.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    search = make_search(params, as_json=options.as_json)
    workspace = options.workspace()
    if search.text == "-" and not search.similar:
        return _answer_lines(workspace, search, options)
    printed = print_search(workspace, search, options.notice)
    for notice in printed.err:
        options.notice(notice)
    if printed.is_raw:
        echo_raw(printed.out)
    else:
        echo(printed.out, nl=False)
    if not params["no_resident"]:
        _start_resident(workspace, options)
    return printed.code


def _answer_lines(workspace: Workspace, search: Search, options: Common) -> int:
    """Answer every query on stdin; return 1 if none of them found anything."""
    query = search.query(workspace.settings.settings)
    found = False
    for number, line in enumerate(_lines(), start=1):
        if line.strip():
            request = replace(query, text=_question(line, number))
            view = search.view
            everything = workspace.search(request, options.notice)
            result = cut(everything, view.min_score, view.min_confidence)
            found = found or bool(result.hits)
            echo_json(json_forms.query_json(result))
    return 0 if found else 1


def _lines() -> Iterator[str]:
    """Yield the lines of stdin as they come; bytes that are not UTF-8 become surrogates."""
    for line in sys.stdin.buffer:
        yield line.decode("utf-8", "surrogateescape").removeprefix("\ufeff").rstrip("\r\n")


def _question(line: str, number: int) -> str:
    """Return the query text of a line: plain, or as JSON.

    Raises:
        UsageError: the line is a JSON object without "query", or half of one.
    """
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        row = {} if _OBJECT.match(line) else line
    if not isinstance(row, dict):
        return row if isinstance(row, str) else line
    if isinstance(row.get("query"), str):
        return str(row["query"])
    message = f'Line {number} must be plain text, a JSON string or an object with "query".'
    raise UsageError(message)


def _start_resident(workspace: Workspace, options: Common) -> None:
    """Start a background process for later queries, if enabled; a failure is no error here."""
    from localembed.server import start

    minutes = workspace.settings.settings.resident_minutes
    if not minutes or os.environ.get("CI"):
        return
    is_known = start.has_started_before()
    try:
        if not start.start(workspace.folder) or is_known:
            return
    except OSError:
        return
    options.notice(
        f"A background process answers the next queries and exits after {minutes} idle minutes "
        "(see: localembed serve -h)."
    )
