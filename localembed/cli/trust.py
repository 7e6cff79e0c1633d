"""`localembed trust`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from localembed.cli.options import Common, NamedPath, common
from localembed.cli.render.output import confirm, echo, echo_json
from localembed.cli.render.text import from_home, printable
from localembed.core.text import counted
from localembed.errors import UsageError
from localembed.types import json_forms

if TYPE_CHECKING:
    from localembed.types.trust import TrustedWorkspace

_REFUSED = 5


@click.command()
@click.argument("place", required=False, metavar="[DIR]", type=NamedPath(path_type=Path))
@click.option("--list", "listed", is_flag=True, help="List every trusted workspace.")
@click.option("--forget", is_flag=True, help="Forget everything that DIR was allowed.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@common
def trust(options: Common, place: Path | None, listed: bool, forget: bool, yes: bool) -> int:
    """Allow the workspace in DIR what it reaches outside of its own folder.

    DIR is the folder with the workspace, or the workspace itself; by default, the nearest one. A
    workspace that came with a folder may name roots elsewhere or a remote model, and other users
    may be able to change it: such a workspace is refused until you name the root or the model on a
    command line, or trust it.

    Shows what is to be trusted, and asks on a terminal; elsewhere the command itself is the answer.
    Your answer is kept in your data folder, not in the workspace.
    """
    if listed and (place or forget):
        message = "--list takes neither DIR nor --forget."
        raise UsageError(message)
    folder = place or options.folder
    if listed:
        return _list(options)
    if forget:
        return _forget(folder, options)
    return _trust(folder, options, ask=not yes and _is_terminal())


def _is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _list(options: Common) -> int:
    from localembed.workspace.trust_records import trusted_workspaces

    found = sorted(trusted_workspaces(), key=lambda known: known.folder)
    if options.as_json:
        echo_json(json_forms.trust_list_json(found))
        return 0
    for known in found:
        echo(printable(from_home(str(known.folder))))
        echo(_lines(known))
    if not found:
        echo("No workspace has been allowed anything outside of its own folder")
    return 0


def _forget(folder: Path | None, options: Common) -> int:
    from localembed.workspace.trust import distrust

    count = distrust(folder)
    if options.as_json:
        echo_json(json_forms.trust_forget_json(count))
    else:
        options.report(f"Forgot {counted(count, 'permission')}")
    return 0


def _trust(folder: Path | None, options: Common, *, ask: bool) -> int:
    from localembed.workspace.reach import describe
    from localembed.workspace.trust import accept, locate, proposal

    layout = locate(folder)
    proposed = proposal(layout)
    where = printable(from_home(str(layout.folder)))
    if ask and proposed:
        echo(f"{where} wants to use:", err=True)
        for permission in proposed:
            echo(f"  {printable(describe(permission))}", err=True)
        if not confirm("Allow it?"):
            echo("Nothing was allowed")
            return _REFUSED
    known = accept(layout, proposed)
    if options.as_json:
        echo_json(json_forms.trust_json(known, proposed))
    elif not proposed:
        options.report(f"{where} needs no more than it is allowed")
    else:
        options.report(f"{where} may use:")
        options.report(_lines(known))
    return 0


def _lines(known: TrustedWorkspace) -> str:
    from localembed.workspace.reach import describe

    return "\n".join(f"  {printable(describe(permission))}" for permission in known.permissions)
