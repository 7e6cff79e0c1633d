"""`localembed status`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from localembed.cli.options import Common, common
from localembed.cli.render.output import echo, echo_json, overwrite_line
from localembed.cli.render.status_page import running_text, settings_text, status_text
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
        if options.as_json:
            echo_json(json_forms.settings_json(sourced.settings, sourced.origins))
        else:
            echo(settings_text(sourced))
        return 0
    found = _watch(workspace, options) if watch else workspace.status()
    if options.as_json:
        echo_json(json_forms.status_json(found))
    else:
        echo(status_text(found))
    return 0


def _watch(workspace: Workspace, options: Common) -> Status:
    """Show how far the run in progress is, once a second, and return the status at its end."""
    shown = ""
    while running := (found := workspace.status()).running:
        line = running_text(running)
        if line != shown and not options.quiet:
            if options.as_json:
                echo_json(json_forms.status_json(found))
            else:
                overwrite_line(line)
        shown = line
        time.sleep(_SECONDS)
    if shown and not options.quiet and not options.as_json:
        overwrite_line("")
    return found
