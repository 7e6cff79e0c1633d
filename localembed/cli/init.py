"""`localembed init`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

from localembed.cli.options import Common, common
from localembed.cli.render.text import printable


@click.command()
@common
def init(options: Common) -> int:
    """Make a workspace in the current folder, so that `index` and `query` here use it.

    Without one, commands use the nearest workspace above, else one in your data folder.
    """
    from localembed.core.workspace_folder import FOLDER_NAME
    from localembed.workspace.workspace import Workspace

    workspace = Workspace(options.folder or Path.cwd() / FOLDER_NAME)
    made = workspace.create()
    if options.as_json:
        click.echo(json.dumps({"workspace": str(workspace.folder), "created": made}))
    elif made:
        click.echo(f"Made the workspace {printable(str(workspace.folder))}")
        options.notice("Next: localembed index")
    else:
        click.echo(f"The workspace {printable(str(workspace.folder))} is already there")
    if not options.folder and (named := os.environ.get("LOCALEMBED_WORKSPACE")):
        options.notice(f"LOCALEMBED_WORKSPACE is set, so commands go on using {named}")
    return 0
