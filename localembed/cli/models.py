"""`localembed models`."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from localembed.cli.bundle import bundle
from localembed.cli.options import Common, common, model_names
from localembed.cli.render.text import INDENT, from_home, printable, size, width, wrapped
from localembed.core.text import counted
from localembed.embedding import RERANKERS, backend_of
from localembed.errors import OfflineError, UsageError

if TYPE_CHECKING:
    from tqdm import tqdm

    from localembed.models.add import Verified

_CHANGED = 4


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def models() -> None:
    """Show, fetch, check and carry the models that can be used."""


models.add_command(bundle)


@models.command("list")
@common
def list_models(options: Common) -> int:
    """List all known models: what they are good for, and which are on this machine."""
    from localembed import models
    from localembed.embedding.profiles import ProfileStore

    rows = models.list_models(options.workspace().layout)
    speeds = ProfileStore().speeds([str(row["name"]) for row in rows])
    rows = [{**row, "chunks_per_second": speeds.get(str(row["name"]))} for row in rows]
    click.echo(json.dumps({"models": rows}) if options.as_json else _list_text(rows))
    return 0


@models.command()
@click.argument("name", shell_complete=model_names)
@common
def use(options: Common, name: str) -> int:
    """Answer queries with model NAME, and index with it from now on.

    If the workspace has an index of NAME, queries use it at once; else the next
    `localembed index` builds it.
    """
    workspace = options.workspace()
    there = workspace.use_model(name)
    if options.as_json:
        click.echo(json.dumps({"model": name, "indexed": there}))
    else:
        click.echo(f"{name} is the model of {from_home(str(workspace.folder))}")
        if not there:
            options.notice("There is no index of it yet. Run: localembed index")
    return 0


@models.command()
@click.argument("source", metavar="FOLDER", type=click.Path(path_type=Path))
@click.option("--name", metavar="NAME", help="That it shall have; the folder's if not given.")
@click.option("--copy", is_flag=True, help="Keep a copy, without files that are not read.")
@common
def add(options: Common, source: Path, name: str | None, copy: bool) -> int:
    """Make the model in FOLDER known: inspected, tried, its hashes pinned.

    FOLDER is that of a sentence-transformers model, from anywhere. It is written into your own
    models.toml, where prompts and other facts can be changed.
    """
    from localembed.models.add import add_model
    from localembed.models.blocks import spec_block

    spec = add_model(source, name=name, copy=copy)
    if options.as_json:
        click.echo(json.dumps({"model": {"name": spec.name, **spec_block(spec)}}))
    else:
        click.echo(f"Added {spec.name}: {spec.dim} numbers a vector, {spec.max_tokens} tokens")
        options.notice(f"Try: localembed index --model {spec.name}")
    return 0


@models.command()
@click.argument("name", shell_complete=model_names)
@click.option("--allow-network", is_flag=True, help="Go online; nothing else ever does.")
@common
def pull(options: Common, name: str, allow_network: bool) -> int:
    """Fetch model NAME from its hub, compare every file with its hash, and try it.

    Stopped at any point, the same command goes on from there. HF_TOKEN opens models that ask for
    an account, HF_ENDPOINT names another hub.
    """
    from localembed.models.files import locate
    from localembed.models.pull import look_up, pull
    from localembed.models.registry import find_spec

    workspace = options.workspace({"allow_network": allow_network or None})
    spec = find_spec(name, workspace.layout)
    provider = backend_of(spec).provider
    if provider is not None:
        message = f"Model '{name}' stays at {provider}: there is nothing to pull."
        raise UsageError(message)
    folder, fetched = locate(spec), 0
    if folder is None:
        _check_allowed(name, allowed=workspace.settings.settings.allow_network)
        offer = look_up(spec)
        fetched = offer.bytes
        options.notice(
            f"Fetching {name} ({size(fetched)}) from {offer.repository}, {offer.commit[:12]}"
        )
        folder = pull(spec, offer, _bar(shown=not options.quiet))
    if options.as_json:
        click.echo(json.dumps({"model": name, "folder": str(folder), "fetched_bytes": fetched}))
    elif fetched:
        click.echo(f"{name} is ready: {from_home(str(folder))}")
    else:
        click.echo(f"{name} is here already: {from_home(str(folder))}")
    return 0


@models.command()
@click.argument("names", nargs=-1, shell_complete=model_names)
@common
def verify(options: Common, names: tuple[str, ...]) -> int:
    """Read every file of models NAMES, or of all that are here, and compare its hash."""
    from localembed.models.add import verify_models

    found = list(verify_models(names, options.workspace().layout))
    if options.as_json:
        rows = [{**asdict(one), "folder": str(one.folder) if one.folder else None} for one in found]
        click.echo(json.dumps({"models": rows}))
    else:
        click.echo("\n".join(map(_verified_text, found)) or "No model is here. Run: models list")
    return _CHANGED if any(one.problem for one in found) else 0


@models.command()
@click.argument("name", shell_complete=model_names)
@common
def rm(options: Common, name: str) -> int:
    """Forget model NAME, and remove the copy of it that was pulled or installed."""
    from localembed.models.add import remove_model

    workspace = options.workspace()
    used = workspace.layout.exists() and workspace.status().model == name
    removed, stays = remove_model(name, workspace.layout)
    if options.as_json:
        gone, left = (str(path) if path else None for path in (removed, stays))
        click.echo(json.dumps({"model": name, "removed": gone, "stays": left}))
        return 0
    click.echo(f"Forgot {name}" + (f" and removed {from_home(str(removed))}" if removed else ""))
    if stays:
        options.notice(f"Its files in {from_home(str(stays))} stay: they are not localembed's")
    if used:
        options.notice(
            "This workspace was indexed with it. Add it again, or index with another: localembed "
            "index --model NAME"
        )
    return 0


def _check_allowed(name: str, *, allowed: bool) -> None:
    """Refuse to go online when nobody allowed it.

    Raises:
        OfflineError: nobody did.
    """
    from localembed.models.pull import hub_address

    if not allowed:
        message = (
            f"Model '{name}' would be fetched from {hub_address()}, and nothing goes online "
            "without being told to. Add: --allow-network"
        )
        raise OfflineError(message)


def _bar(*, shown: bool) -> type[tqdm[Any]]:
    """Return the bar of one file: on stderr, only to a terminal, gone when it is full."""
    from tqdm import tqdm

    visible = shown and sys.stderr.isatty()

    class Bar(tqdm):  # type: ignore[misc]
        def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401
            options.pop("name", None)
            fixed = {"disable": not visible, "leave": False, "ncols": width(), "file": sys.stderr}
            super().__init__(*arguments, **{**options, **fixed})

    return Bar


def _list_text(rows: Sequence[Mapping[str, Any]]) -> str:
    longest = max(24, *(len(str(row["name"])) for row in rows)) if rows else 24
    head = f"  {'MODEL':<{longest}}{'DIM':>6}{'TOKENS':>8}{'SIZE':>11}  LICENCE"
    lines = [click.style(head, bold=True)]
    for row in rows:
        lines += _model_lines(row, longest)
    here = sum(bool(row["installed"]) for row in rows)
    away = sum(bool(row["server"]) for row in rows)
    lines += ["", f"{here} of {counted(len(rows), 'model')} here ({click.style('●', fg='green')})"]
    if here + away < len(rows):
        lines[-1] += ". To get one: localembed models pull NAME --allow-network"
    if away:
        lines.append(f"{away} of servers ({click.style('↗', fg='cyan')}): docs/remote.md")
    return "\n".join(lines)


def _model_lines(row: Mapping[str, Any], longest: int) -> list[str]:
    mark = click.style("●", fg="green") if row["installed"] else click.style("○", dim=True)
    if row["server"]:
        mark = click.style("↗", fg="cyan")
    dim = "rank" if row["backend"] in RERANKERS else f"{row['dim']:,}"
    weight = "server" if row["server"] else size(row["bytes"]) if row["bytes"] else "-"
    name = click.style(f"{printable(row['name']):<{longest}}", bold=bool(row["installed"]))
    licence = printable(str(row["license"]))
    lines = [f"{mark} {name}{dim:>6}{row['max_tokens']:>8,}{weight:>11}  {licence}".rstrip()]
    speed, shorter = row["chunks_per_second"], row["smaller_dims"]
    said = (
        ", ".join(row["languages"][:4]),
        row["good_for"],
        str(row["server"] or ""),
        f"--dim {', '.join(map(str, shorter))}" if shorter else "",
        f"{speed:,.0f} chunks/s here" if speed else "",
    )
    text = " · ".join(part for part in said if part)
    if text:
        lines.append(click.style(wrapped(printable(text), INDENT), dim=True))
    return lines


def _verified_text(found: Verified) -> str:
    if found.problem:
        return (
            f"{click.style('wrong', fg='red')}  {wrapped(printable(found.problem), INDENT).strip()}"
        )
    files = counted(found.files, "file")
    return f"{click.style('ok', fg='green')}     {found.name}: {files}, each with its hash"
