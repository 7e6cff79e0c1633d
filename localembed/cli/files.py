"""`localembed files`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from localembed.cli.options import Common, NamedPath, common
from localembed.cli.render.output import echo, echo_json, style
from localembed.cli.render.text import near, printable
from localembed.core.text import show_path
from localembed.types import json_forms
from localembed.types.documents import Note
from localembed.types.listing import ListedFile


@click.command()
@click.argument("paths", nargs=-1, type=NamedPath())
@click.option("--skipped", is_flag=True, help="List what is skipped, and why, by a new walk.")
@click.option("--by-chunks", is_flag=True, help="List the files with the most chunks first.")
@common
def files(options: Common, paths: tuple[str, ...], skipped: bool, by_chunks: bool) -> int:
    """List the files that are indexed, below PATHS or all, with their chunks.

    Files that failed in the last run follow. With --skipped, the files and folders that are not
    indexed are listed instead, each with its reason. Exits with 1 if there is nothing to list.
    """
    listing = options.workspace().files(paths, skipped=skipped, by_chunks=by_chunks)
    shown = listing.files if listing.skipped is None else listing.skipped
    if options.as_json:
        echo_json(json_forms.files_json(listing))
    elif shown or listing.failures:
        lines = _notes(listing.skipped) if listing.skipped is not None else _rows(listing.files)
        failed = style("failed:", fg="red")
        echo("\n".join([*lines, *(f"{failed} {line}" for line in _notes(listing.failures))]))
    if shown or listing.failures:
        return 0
    where = "there" if paths else "yet. Run: localembed index FOLDER"
    options.notice("Nothing is skipped" if skipped else f"Nothing is indexed {where}")
    return 1


def _rows(listed: Sequence[ListedFile]) -> list[str]:
    rows = [
        f"{file.chunks:>7,} {printable(near(show_path(file.path)))}"
        f"{style(_STATES.get(file.state, ''), fg='yellow')}"
        for file in listed
    ]
    return [style(f"{'CHUNKS':>7} PATH", bold=True), *rows] if rows else []


_STATES = {
    "partial": " (passages without a vector; run: localembed index --retry-failed)",
    "failed": " (chunks of an earlier run)",
}


def _notes(notes: Sequence[Note]) -> list[str]:
    return [f"{printable(near(show_path(n.path)))}: {printable(n.reason)}" for n in notes]
