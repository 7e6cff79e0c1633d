"""`localembed roots`."""

from __future__ import annotations

import click

from localembed.cli.groups import ListingGroup
from localembed.cli.options import Common, NamedPath, common
from localembed.cli.render.output import echo, echo_json, style
from localembed.cli.render.text import near, printable
from localembed.core.text import counted, show_path
from localembed.types import json_forms
from localembed.types.tables import ListedRoot, MovedRoot


def _root_paths(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Complete the path or ID of a root in the shell."""
    from localembed.errors import LocalembedError
    from localembed.workspace.workspace import Workspace

    try:
        roots = Workspace.discover().roots
    except LocalembedError:
        return []
    names = [name for root in roots for name in (show_path(root.path), root.root_id)]
    return [name for name in names if name.startswith(incomplete)]


@click.group(cls=ListingGroup, context_settings={"help_option_names": ["-h", "--help"]})
def roots() -> None:
    """List the folders and files that are indexed, or say where one has moved.

    Without a command, they are listed. To add one: localembed index PATH. To forget one:
    localembed rm PATH.
    """


@roots.command("list")
@common
def list_roots(options: Common) -> int:
    """List the roots: ID, files and path."""
    listing = options.workspace().list_roots()
    if options.as_json:
        echo_json(json_forms.roots_json(listing))
        return 0
    if not listing.roots and not listing.unknown:
        options.notice("There is no root yet. Run: localembed index FOLDER")
        return 0
    echo(style(f"{'ID':<16} {'FILES':>7} PATH", bold=True))
    for listed in listing.roots:
        place = printable(near(show_path(listed.root.path)))
        echo(f"{listed.root.root_id:<16} {listed.files:>7,} {place}{_state(listed)}")
    for unknown in listing.unknown:
        example = printable(show_path(unknown.example))
        hint = "(not in config.toml; run: localembed index FOLDER, or rm ID)"
        name = f"{printable(unknown.root_id):<16} {unknown.files:>7,} "
        echo(f"{name}{example and f'…/{example} '}{style(hint, fg='yellow')}")
    return 0


@roots.command()
@click.argument("old", shell_complete=_root_paths)
@click.argument("new", type=NamedPath())
@common
def move(options: Common, old: str, new: str) -> int:
    """Say that the root OLD, a path or ID, is now at NEW.

    Nothing is read again and nothing embedded. Roots inside the folder of a .localembed workspace
    move with it and need no command.
    """
    moved = options.workspace().move_root(old, new)
    if options.as_json:
        echo_json(json_forms.moved_root_json(moved))
        return 0
    options.report(f"Moved {printable(old)} to {printable(near(show_path(moved.root.path)))}")
    if moved.looked_at:
        options.notice(_found(moved))
    return 0


def _found(moved: MovedRoot) -> str:
    return f"Of {counted(moved.looked_at, 'file')} looked at, {moved.found} are there as indexed."


def _state(listed: ListedRoot) -> str:
    if listed.root.elsewhere:
        return style(" (on another machine; run: localembed roots move ID NEW)", fg="yellow")
    if listed.missing:
        return style(" (missing; if it has moved: localembed roots move ID NEW)", fg="yellow")
    return ""
