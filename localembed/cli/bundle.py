"""`localembed models bundle`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from localembed.cli.options import Common, common, model_names
from localembed.cli.render.text import from_home, printable, size
from localembed.core.text import counted
from localembed.types import json_forms

if TYPE_CHECKING:
    from localembed.models.bundle import Contents

_FILE = click.Path(path_type=Path)


@click.group()
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
    from localembed.models.bundle import create_bundle

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
@common
def install(options: Common, file: Path) -> int:
    """Check FILE, then install its models and its index.

    If FILE contains an index, the workspace must not exist yet.
    """
    from localembed.models.bundle import install_bundle
    from localembed.workspace import trust_records

    layout = options.workspace().layout
    done = install_bundle(file, layout)
    if done.workspace:
        trust_records.allow(layout, (), is_installed=True)
    if options.as_json:
        form = json_forms.bundle_install_json(done.models, done.present, done.workspace)
        click.echo(json.dumps(form))
        return 0
    for name in done.models:
        click.echo(f"Installed {name}")
    for name in done.present:
        click.echo(f"{name} is already installed")
    if done.workspace:
        click.echo(f"Installed the index: {from_home(str(done.workspace))}")
        options.notice('Try: localembed query "some words"')
    return 0


def _show(options: Common, file: Path, contents: Contents, verb: str) -> None:
    names = [spec.name for spec in contents.models]
    if options.as_json:
        files, chunks = len(contents.members), contents.chunks
        form = json_forms.bundle_json(file, names, files, chunks, contents.bytes)
        click.echo(json.dumps(form))
        return
    held = ", ".join(names)
    index = f" and an index of {counted(contents.chunks, 'chunk')}" if contents.has_index else ""
    click.echo(f"{verb} {printable(str(file))}, {size(contents.bytes)}: {held}{index}")
