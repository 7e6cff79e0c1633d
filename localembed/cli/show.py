"""`localembed show`."""

from __future__ import annotations

import json

import click

from localembed.cli.options import Common, common, model_names
from localembed.cli.render.hits import hit_json, hit_whole
from localembed.cli.render.text import printable


@click.command()
@click.argument("place")
@click.option(
    "--model", metavar="NAME", shell_complete=model_names, help="Look into this model's table."
)
@click.option("--at", metavar="VERSION", help="Look into what a run left: its number, or a tag.")
@common
def show(options: Common, place: str, model: str | None, at: str | None) -> int:
    """Show what is indexed of PLACE: a path, path:line, or the id of a chunk.

    Exits with 1 when nothing is.
    """
    hits = options.workspace().show(place, model=model, at=at)
    if options.as_json:
        rows = [hit_json(rank, hit) for rank, hit in enumerate(hits, start=1)]
        click.echo(json.dumps({"place": place, "hits": rows}))
    else:
        for hit in hits:
            click.echo(hit_whole(hit))
    if not hits:
        options.notice(f"Nothing is indexed of {printable(place)}")
        return 1
    return 0
