"""`localembed status`."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

import click

from localembed.cli.options import Common, common
from localembed.cli.render.status_page import running_text, settings_text, status_text
from localembed.cli.render.text import clipped, width
from localembed.errors import UsageError
from localembed.types import json_forms

if TYPE_CHECKING:
    from localembed.types.tables import Status
    from localembed.workspace.workspace import Workspace

_SECONDS = 1.0
"""Time between two looks at a run: its heartbeat is as fast."""


@click.command()
@click.option("--settings", is_flag=True, help="Show each setting and where it came from.")
@click.option("--watch", is_flag=True, help="Follow the run in progress until it ends.")
@common
def status(options: Common, settings: bool, watch: bool) -> int:
    """Show what is indexed, how large it is, and whether a run is in progress."""
    if settings and watch:
        message = "--settings and --watch exclude each other."
        raise UsageError(message)
    workspace = options.workspace()
    if settings:
        sourced = workspace.settings
        click.echo(
            json.dumps(json_forms.settings_json(sourced.settings, sourced.origins))
            if options.as_json
            else settings_text(sourced)
        )
        return 0
    found = _watch(workspace, options) if watch else workspace.status()
    click.echo(json.dumps(json_forms.status_json(found)) if options.as_json else status_text(found))
    return 0


def _watch(workspace: Workspace, options: Common) -> Status:
    """Show how far the run in progress is, once a second, and return the status at its end."""
    shown = ""
    while running := (found := workspace.status()).running:
        as_json = json.dumps(json_forms.status_json(found)) if options.as_json else ""
        line = as_json or running_text(running)
        if line != shown and not options.quiet:
            _show(line, in_place=not options.as_json)
        shown = line
        time.sleep(_SECONDS)
    if shown and not options.quiet and not options.as_json and sys.stdout.isatty():
        click.echo("\r\033[K", nl=False)
    return found


def _show(line: str, *, in_place: bool) -> None:
    """Print a line; on a terminal, over the one before."""
    if in_place and sys.stdout.isatty():
        click.echo(f"\r\033[K{clipped(line, width())}", nl=False)
    else:
        click.echo(line)
    sys.stdout.flush()
