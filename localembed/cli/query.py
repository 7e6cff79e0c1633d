"""`localembed query`."""

from __future__ import annotations

import json
import os
import sys

import click

from localembed.cli.answers import hit_json, hit_text, query_json
from localembed.cli.options import Common, common, model_names
from localembed.cli.text import printable
from localembed.types import SearchMode
from localembed.workspace import QueryResult


@click.command()
@click.argument("text")
@click.option("--mode", type=click.Choice(["hybrid", "vector", "text"]), help="Default: hybrid.")
@click.option("-k", "--top-k", type=click.IntRange(1, 10_000), metavar="N", help="Default: 10.")
@click.option("--format", "form", type=click.Choice(["text", "jsonl", "paths"]), default="text")
@click.option(
    "--model", metavar="NAME", shell_complete=model_names, help="Search this model's table."
)
@common
def query(
    options: Common,
    text: str,
    mode: SearchMode | None,
    top_k: int | None,
    form: str,
    model: str | None,
) -> int:
    """Search for TEXT by meaning and by words, the best first.

    Exits with 1 when nothing is found.
    """
    # Before NumPy is imported: a second thread gains a short query nothing on a quiet machine, and
    # costs it tenths of a second on a busy one.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    result = options.workspace().search(text, mode=mode, top_k=top_k, model=model)
    if not result.complete:
        options.notice("The index is not complete yet; more may be found later.")
    if options.as_json:
        click.echo(json.dumps(query_json(result)))
    else:
        _print(result, form)
    if not result.hits:
        options.notice(f"Nothing found for: {printable(text)}")
        return 1
    return 0


def _print(result: QueryResult, form: str) -> None:
    if form == "jsonl":
        for rank, hit in enumerate(result.hits, start=1):
            click.echo(json.dumps(hit_json(rank, hit)))
    elif form == "paths":
        for path in dict.fromkeys(hit.path for hit in result.hits):
            click.echo(printable(path) if sys.stdout.isatty() else path)
    else:
        for rank, hit in enumerate(result.hits, start=1):
            click.echo(hit_text(rank, hit, result.query))
