"""`localembed show`."""

from __future__ import annotations

import click

from localembed.cli.options import Common, common, model_names
from localembed.cli.render.hits import hit_whole
from localembed.cli.render.output import echo, echo_json
from localembed.cli.render.text import printable
from localembed.types import json_forms


@click.command()
@click.argument("place")
@click.option("--model", metavar="NAME", shell_complete=model_names, help="Use this model's table.")
@click.option("--at", metavar="VERSION", help="Show an earlier version: a run or tag.")
@common
def show(options: Common, place: str, model: str | None, at: str | None) -> int:
    """Show the chunks of PLACE: a file, all files below a folder, path:line or a chunk ID.

    Exits with 1 if there are none.
    """
    hits = options.workspace().show(place, model=model, at=at)
    if options.as_json:
        echo_json(json_forms.show_json(place, hits))
    else:
        for hit in hits:
            echo(hit_whole(hit))
    if not hits:
        options.notice(f"Nothing is indexed for {printable(place)}")
        return 1
    return 0
