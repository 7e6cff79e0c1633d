"""`localembed rm`."""

from __future__ import annotations

import click

from localembed.cli.options import Common, NamedPath, common
from localembed.cli.render.output import echo_json
from localembed.cli.render.text import printable
from localembed.core.text import counted
from localembed.types import json_forms


@click.command()
@click.argument("path", type=NamedPath())
@common
def rm(options: Common, path: str) -> int:
    """Remove PATH from the index: a root (its path or ID), or a folder or file below one.

    The files themselves are not touched. A path below a root also stays out of later runs, until
    it is indexed by its own name: localembed index PATH.
    """
    report = options.workspace().remove(path)
    if options.as_json:
        echo_json(json_forms.report_json(report))
    elif report is None or not report.files.removed:
        options.report(f"Removed {printable(path)} from the index; nothing was indexed there")
    else:
        files = counted(report.files.removed, "file")
        chunks = counted(report.chunks.removed, "chunk")
        options.report(f"Removed {printable(path)} from the index: {files}, {chunks}")
    return 0
