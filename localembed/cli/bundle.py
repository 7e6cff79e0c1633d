"""`localembed models bundle`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from localembed.cli.groups import SuggestingGroup
from localembed.cli.options import Common, NamedPath, common, model_names
from localembed.cli.render.output import ask, echo, echo_json
from localembed.cli.render.text import from_home, printable, size
from localembed.core.text import counted, show_path
from localembed.types import json_forms
from localembed.types.documents import Root

if TYPE_CHECKING:
    from localembed.models.bundle import Contents

_FILE = NamedPath(path_type=Path)


@click.group(cls=SuggestingGroup)
def bundle() -> None:
    """Move models and an index to an offline machine as one file."""


@bundle.command()
@click.argument("names", nargs=-1, shell_complete=model_names)
@click.option("--with-index", is_flag=True, help="Include this workspace's index.")
@click.option("-o", "--output", type=_FILE, required=True, metavar="FILE", help="File to write.")
@common
def create(options: Common, names: tuple[str, ...], with_index: bool, output: Path) -> int:
    """Write models NAMES, and the index if requested, to one file.

    With --with-index, NAMES default to the index's models. The same models and index always give
    the same bytes. An index contains the text of every document, unencrypted, and so does the
    file.
    """
    from localembed.workspace.bundles import create_bundle

    layout = options.workspace().layout
    contents = create_bundle(names, output, layout, with_index=with_index)
    _show(options, output, contents, "Wrote")
    if contents.has_index:
        options.notice("The file contains the text of every indexed document, unencrypted.")
    return 0


@bundle.command()
@click.argument("file", type=_FILE)
@common
def verify(options: Common, file: Path) -> int:
    """Read all of FILE and check everything in it against its hash."""
    from localembed.models.bundle import verify_bundle

    _show(options, file, verify_bundle(file), "Verified")
    return 0


@bundle.command()
@click.argument("file", type=_FILE)
@click.option(
    "--root", "places", multiple=True, metavar="OLD=NEW", help="Where root OLD is here; repeatable."
)
@common
def install(options: Common, file: Path, places: tuple[str, ...]) -> int:
    """Check FILE, then install its models and its index.

    If FILE contains an index, the workspace must not exist yet. The folders that it was made from
    are those of another machine: --root says where one is here, and a terminal asks for the
    others. Without an answer, queries work and the root is not refreshed.
    """
    from localembed.workspace.bundles import bundled_roots, install_bundle, parse_places

    roots = bundled_roots(file)
    known = parse_places(places, roots)
    if not options.as_json and not options.quiet and sys.stdin.isatty() and sys.stderr.isatty():
        known |= _asked([root for root in roots if root.root_id not in known])
    done = install_bundle(file, options.workspace().layout, known)
    if options.as_json:
        form = json_forms.bundle_install_json(done.models, done.present, done.workspace, done.roots)
        echo_json(form)
        return 0
    for name in done.models:
        options.report(f"Installed {printable(name)}")
    for name in done.present:
        options.report(f"{printable(name)} is already installed")
    if done.workspace:
        options.report(f"Installed the index: {printable(from_home(str(done.workspace)))}")
        for root in done.roots:
            options.report(_placed(root))
        options.notice('Try: localembed query "some words"')
    return 0


def _asked(roots: Sequence[Root]) -> dict[str, str]:
    """Ask for the path of each root on this machine; return root_id → path."""
    places: dict[str, str] = {}
    for root in roots:
        question = f"Where is {printable(show_path(root.path))} on this machine? (Enter: not here)"
        while place := ask(question):
            if Path(place).expanduser().exists():
                places[root.root_id] = str(Path(place).expanduser())
                break
            echo(f"{printable(place)} does not exist.", err=True)
    return places


def _placed(root: Root) -> str:
    path = printable(show_path(root.path))
    if not root.elsewhere:
        return f"Root {from_home(path)}"
    return f"Root {path} is not here; run: localembed roots move {root.root_id} NEW"


def _show(options: Common, file: Path, contents: Contents, verb: str) -> None:
    names = [spec.name for spec in contents.models]
    if options.as_json:
        files, chunks = len(contents.members), contents.chunks
        form = json_forms.bundle_json(file, names, files, chunks, contents.bytes)
        echo_json(form)
        return
    held = printable(", ".join(names))
    index = f" and an index of {counted(contents.chunks, 'chunk')}" if contents.has_index else ""
    options.report(f"{verb} {printable(str(file))}, {size(contents.bytes)}: {held}{index}")
