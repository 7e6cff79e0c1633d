"""`localembed status`."""

from __future__ import annotations

import json

import click

from localembed.cli.options import Common, common
from localembed.cli.render.status_page import settings_text, status_text
from localembed.types import json_forms


@click.command()
@click.option("--settings", is_flag=True, help="Show each setting and where it came from.")
@common
def status(options: Common, settings: bool) -> int:
    """Show what is indexed, how large it is, and whether a run is in progress."""
    workspace = options.workspace()
    if settings:
        sourced = workspace.settings
        click.echo(
            json.dumps(json_forms.settings_json(sourced.settings, sourced.origins))
            if options.as_json
            else settings_text(sourced)
        )
        return 0
    found = workspace.status()
    click.echo(json.dumps(json_forms.status_json(found)) if options.as_json else status_text(found))
    return 0
