"""`localembed models`."""

from __future__ import annotations

import json

import click

from localembed.cli.options import Common, common
from localembed.cli.overview import models_text


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def models() -> None:
    """Show the models that can be used."""


@models.command("list")
@common
def list_models(options: Common) -> int:
    """List all known models, and whether their files are on this machine."""
    from localembed import catalog

    rows = catalog.list_models(options.workspace().layout)
    click.echo(json.dumps({"models": rows}) if options.as_json else models_text(rows))
    return 0
