"""`localembed init`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from localembed.cli.options import Common, common
from localembed.cli.render.output import echo_json
from localembed.cli.render.text import printable
from localembed.types import json_forms


@click.command()
@common
def init(options: Common) -> int:
    """Create a workspace in the current folder, for `index` and `query` to use here.

    Without one, commands use the nearest workspace in a parent folder, or else one in your data
    folder.
    """
    from localembed.core.ownership import objection
    from localembed.core.workspace_folder import FOLDER_NAME
    from localembed.workspace.workspace import Workspace

    workspace = Workspace(options.folder or Path.cwd() / FOLDER_NAME)
    made = workspace.create()
    if options.as_json:
        echo_json(json_forms.init_json(workspace.folder, created=made))
    elif made:
        options.report(f"Created the workspace {printable(str(workspace.folder))}")
        options.notice("Next: localembed index")
    else:
        options.report(f"The workspace {printable(str(workspace.folder))} already exists")
    if not options.folder and (reason := objection(str(workspace.folder), str(Path.cwd()))):
        options.notice(f"{reason}: commands here need --workspace, or: localembed trust")
    if not options.folder and (named := os.environ.get("LOCALEMBED_WORKSPACE")):
        options.notice(f"LOCALEMBED_WORKSPACE is set, so commands still use {named}")
    return 0
