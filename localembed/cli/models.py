"""`localembed models`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from localembed.cli.bundle import bundle
from localembed.cli.groups import ListingGroup
from localembed.cli.options import Common, NamedPath, common, model_names
from localembed.cli.render.output import echo, echo_json, progress_bar, style
from localembed.cli.render.text import INDENT, from_home, printable, size, wrapped
from localembed.core.text import counted
from localembed.embedding import RERANKERS, backend_of
from localembed.errors import OfflineError, UsageError
from localembed.types import json_forms

if TYPE_CHECKING:
    from localembed.models.add import Verified

_CHANGED = 4
_NO_MODEL = "No model is installed. Run: localembed models list"


@click.group(cls=ListingGroup, context_settings={"help_option_names": ["-h", "--help"]})
def models() -> None:
    """List, download, add, check and bundle models.

    Without a command, they are listed.
    """


models.add_command(bundle)


@models.command("list")
@common
def list_models(options: Common) -> int:
    """List all known models, their uses, and which are installed."""
    from localembed import models
    from localembed.embedding.profiles import ProfileStore

    listed = models.list_models(options.workspace().layout)
    speeds = ProfileStore().speeds([model.spec.name for model in listed])
    form = json_forms.model_list_json(listed, speeds)
    if options.as_json:
        echo_json(form)
    else:
        echo(_list_text(form["models"]))
    return 0


@models.command()
@click.argument("name", shell_complete=model_names)
@common
def use(options: Common, name: str) -> int:
    """Use model NAME for queries and for indexing from now on.

    If the workspace has an index for NAME, queries use it at once; otherwise the next
    `localembed index` builds it.
    """
    workspace = options.workspace()
    there = workspace.use_model(name)
    if options.as_json:
        echo_json(json_forms.model_use_json(name, indexed=there))
    else:
        options.report(printable(f"{name} is now the model of {from_home(str(workspace.folder))}"))
        if not there:
            options.notice("There is no index for it yet. Run: localembed index")
    return 0


@models.command()
@click.argument("source", metavar="FOLDER", type=NamedPath(path_type=Path))
@click.option("--name", metavar="NAME", help="Name for the model (default: the folder's name).")
@click.option("--copy", is_flag=True, help="Keep a copy, without files that are never read.")
@common
def add(options: Common, source: Path, name: str | None, copy: bool) -> int:
    """Add the model in FOLDER, after inspecting and trying it.

    FOLDER contains a sentence-transformers model from any source. The model is added to your own
    models.toml with the hashes of its files; you can change its prompts and other values there.
    """
    from localembed.models.add import add_model
    from localembed.models.blocks import spec_block

    spec = add_model(source, name=name, copy=copy)
    if options.as_json:
        echo_json(json_forms.model_block_json(spec.name, spec_block(spec)))
    else:
        options.report(
            f"Added {printable(spec.name)}: {spec.dim} dimensions, {spec.max_tokens} tokens"
        )
        options.notice(f"Try: localembed index --model {spec.name}")
    return 0


@models.command()
@click.argument("name", shell_complete=model_names)
@click.option("--allow-network", is_flag=True, help="Allow this command to go online.")
@common
def pull(options: Common, name: str, allow_network: bool) -> int:
    """Download model NAME from its hub, check it, and try it.

    Every file is compared with the hub's hash, and with its published hash if models.toml has one
    (see `models list`). Interrupted downloads resume. HF_TOKEN gives
    access to models that require an account; HF_ENDPOINT names another hub.
    """
    from localembed.models.files import locate
    from localembed.models.pull import look_up, pull
    from localembed.models.registry import find_spec

    workspace = options.workspace({"allow_network": allow_network or None})
    spec = find_spec(name, workspace.layout)
    provider = backend_of(spec).provider
    if provider is not None:
        message = f"Model '{name}' runs at {provider}: there is nothing to pull."
        raise UsageError(message)
    folder, fetched = locate(spec), 0
    if folder is None:
        _check_allowed(name, allowed=workspace.settings.settings.allow_network)
        offer = look_up(spec)
        fetched = offer.bytes
        options.notice(
            f"Downloading {name} ({size(fetched)}) from {offer.repository}, {offer.commit[:12]}"
        )
        folder = pull(spec, offer, progress_bar(shown=not options.quiet))
        if unpublished := offer.unpublished(spec):
            options.notice(
                f"{counted(unpublished, 'file')} of {len(offer.files)} had no published hash in "
                "models.toml to compare with; their hashes are recorded now"
            )
    if options.as_json:
        echo_json(json_forms.model_pull_json(name, folder, fetched))
    elif fetched:
        options.report(printable(f"{name} is ready: {from_home(str(folder))}"))
    else:
        options.report(printable(f"{name} is already installed: {from_home(str(folder))}"))
    return 0


@models.command()
@click.argument("names", nargs=-1, shell_complete=model_names)
@common
def verify(options: Common, names: tuple[str, ...]) -> int:
    """Check all files of models NAMES (default: all installed).

    Each file is compared with its hash.
    """
    from localembed.models.add import verify_models

    found = list(verify_models(names, options.workspace().layout))
    if options.as_json:
        form = json_forms.model_checks_json([(one, one.folder) for one in found])
        echo_json(form)
    else:
        echo("\n".join(map(_verified_text, found)) or _NO_MODEL)
    return _CHANGED if any(one.problem for one in found) else 0


@models.command()
@click.argument("name", shell_complete=model_names)
@common
def rm(options: Common, name: str) -> int:
    """Remove model NAME, and delete its pulled or installed copy."""
    from localembed.models.add import remove_model

    workspace = options.workspace()
    used = workspace.layout.exists() and workspace.status().model == name
    removed, stays = remove_model(name, workspace.layout)
    if options.as_json:
        echo_json(json_forms.model_removal_json(name, removed, stays))
        return 0
    deleted = f" and deleted {from_home(str(removed))}" if removed else ""
    options.report(printable(f"Removed {name}{deleted}"))
    if stays:
        options.notice(f"Its files in {from_home(str(stays))} stay: localembed does not own them")
    if used:
        options.notice(
            "This workspace was indexed with it. Add it again, or index with another model: "
            "localembed index --model NAME"
        )
    return 0


def _check_allowed(name: str, *, allowed: bool) -> None:
    """Refuse to go online without permission.

    Raises:
        OfflineError: the user did not allow it.
    """
    from localembed.models.pull import hub_address

    if not allowed:
        message = (
            f"Model '{name}' would be downloaded from {hub_address()}, and localembed goes online "
            "only with your permission. Add: --allow-network"
        )
        raise OfflineError(message)


def _list_text(rows: Sequence[Mapping[str, Any]]) -> str:
    longest = max(24, *(len(str(row["name"])) for row in rows)) if rows else 24
    head = f"  {'MODEL':<{longest}}{'DIM':>6}{'TOKENS':>8}{'SIZE':>11}  LICENCE"
    lines = [style(head, bold=True)]
    for row in rows:
        lines += _model_lines(row, longest)
    here = sum(bool(row["installed"]) for row in rows)
    away = sum(bool(row["server"]) for row in rows)
    dot, arrow = style("●", fg="green"), style("↗", fg="cyan")
    lines += ["", f"{here} of {len(rows)} installed ({dot})"]
    if here + away < len(rows):
        lines[-1] += ". To get one: localembed models pull NAME --allow-network"
    if away:
        lines.append(f"{counted(away, 'remote model')} ({arrow}): see docs/remote.md")
    return "\n".join(lines)


def _model_lines(row: Mapping[str, Any], longest: int) -> list[str]:
    mark = style("●", fg="green") if row["installed"] else style("○", dim=True)
    if row["server"]:
        mark = style("↗", fg="cyan")
    dim = "rank" if row["backend"] in RERANKERS else f"{row['dim']:,}"
    weight = "remote" if row["server"] else size(row["bytes"]) if row["bytes"] else "-"
    name = style(f"{printable(row['name']):<{longest}}", bold=bool(row["installed"]))
    licence = printable(str(row["license"]))
    lines = [f"{mark} {name}{dim:>6}{row['max_tokens']:>8,}{weight:>11}  {licence}".rstrip()]
    speed, shorter = row["chunks_per_second"], row["smaller_dims"]
    facts = (
        ", ".join(row["languages"][:4]),
        row["good_for"],
        str(row["server"] or ""),
        f"--dim {', '.join(map(str, shorter))}" if shorter else "",
        f"{speed:,.0f} chunks/s here" if speed else "",
        "" if row["server"] else _pinned_text(row["pinned_files"]),
    )
    text = " · ".join(fact for fact in facts if fact)
    if text:
        lines.append(style(wrapped(printable(text), INDENT), dim=True))
    return lines


def _pinned_text(files: int) -> str:
    """Say how many files have a hash in models.toml; others are trusted when first seen."""
    return f"{counted(files, 'file')} pinned" if files else "no file pinned"


def _verified_text(found: Verified) -> str:
    if found.problem:
        return f"{style('wrong', fg='red')}  {wrapped(printable(found.problem), INDENT).strip()}"
    files = counted(found.files, "file")
    return f"{style('ok', fg='green')}     {printable(found.name)}: {files} verified"
