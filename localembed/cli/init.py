"""`localembed init`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from localembed.cli.options import Common, common


@click.command()
@common
def init(options: Common) -> int:
    """Make a workspace in the current folder, so that `index` and `query` here use it.

    Without one, commands use the nearest workspace above, else one in your data folder.
    """
    from localembed.workspace import FOLDER_NAME, Workspace

    workspace = Workspace(options.folder or Path.cwd() / FOLDER_NAME)
    made = workspace.create()
    if options.as_json:
        click.echo(json.dumps({"workspace": str(workspace.folder), "created": made}))
    elif made:
        click.echo(f"Made the workspace {workspace.folder}")
        options.notice("Next: localembed index")
    else:
        click.echo(f"The workspace {workspace.folder} is already there")
    return 0
