"""`localembed versions`."""

from __future__ import annotations

import click

from localembed.cli.groups import ListingGroup
from localembed.cli.options import Common, common
from localembed.cli.render.output import echo, echo_json, style
from localembed.cli.render.text import local_time, near, printable, size
from localembed.core.text import counted
from localembed.errors import UsageError
from localembed.types import json_forms
from localembed.types.tables import Changes, Version


@click.group(cls=ListingGroup, context_settings={"help_option_names": ["-h", "--help"]})
def versions() -> None:
    """List, compare and restore earlier versions, each named by its run's number or a tag.

    Without a command, they are listed.
    """


@versions.command("list")
@common
def list_versions(options: Common) -> int:
    """List the versions that can be restored, newest first."""
    found = options.workspace().history.versions()
    if options.as_json:
        echo_json(json_forms.versions_json(found))
        return 0
    titles = f"{'RUN':>5} {'WHEN':<20} {'FILES':>6} {'CHUNKS':>8} {'SIZE':>9} {'CHANGED':<12} MODEL"
    echo(style(titles, bold=True))
    for version in found:
        entry = version.entry
        when = local_time(version.at) or "-"
        tags = f"  {printable(', '.join(version.tags))}" if version.tags else ""
        echo(
            f"{version.run:>5} {when:<20} {entry.documents:>6,} {entry.chunks:>8,} "
            f"{size(entry.data_bytes):>9} {_changed(version):<12} {printable(entry.model)}"
            f"{style(tags, fg='cyan')}"
        )
    return 0


@versions.command()
@click.argument("old")
@click.argument("new")
@common
def diff(options: Common, old: str, new: str) -> int:
    """Show the files that differ between the versions OLD and NEW."""
    changes = options.workspace().history.compare(old, new)
    if options.as_json:
        echo_json(json_forms.changes_json(old, new, changes))
        return 0
    for mark, paths, colour in _kinds(changes):
        for path in paths:
            echo(f"{style(mark, fg=colour)} {printable(near(path))}")
    echo(
        f"{counted(len(changes.added), 'file')} added, {len(changes.changed):,} changed, "
        f"{len(changes.removed):,} removed; {counted(changes.chunks_added, 'chunk')} added, "
        f"{changes.chunks_removed:,} removed"
    )
    return 0


@versions.command()
@click.argument("name")
@click.argument("version", required=False)
@click.option("-d", "--delete", is_flag=True, help="Delete the tag NAME.")
@common
def tag(options: Common, name: str, version: str | None, delete: bool) -> int:
    """Tag VERSION (default: the newest) as NAME.

    gc never deletes tagged versions.
    """
    history = options.workspace().history
    if delete and version:
        message = "Give either VERSION or --delete."
        raise UsageError(message)
    if delete:
        history.tag(name, None)
        _show_tag(options, name, None, f"Deleted the tag {printable(name)}")
        return 0
    newest = next(iter(history.versions()), None)
    if newest is None:
        message = "Nothing is indexed yet. Run: localembed index FOLDER"
        raise UsageError(message)
    history.tag(name, version or str(newest.run))
    run = next(found.run for found in history.versions() if name in found.tags)
    _show_tag(options, name, run, f"Tagged run {run} as {printable(name)}")
    return 0


def _show_tag(options: Common, name: str, run: int | None, text: str) -> None:
    if options.as_json:
        echo_json(json_forms.tag_json(name, run))
    else:
        options.report(text)


@versions.command()
@click.argument("version")
@common
def restore(options: Common, version: str) -> int:
    """Make a new run with the content of VERSION.

    The next `index` continues from it. Nothing is embedded, and it can be undone like any other
    run.
    """
    report = options.workspace().history.restore(version)
    if options.as_json:
        echo_json(json_forms.restore_json(report, version))
    else:
        named = f"run {version}" if version.isdecimal() else printable(version)
        options.report(
            f"Restored {named} as run {report.run}: {counted(report.chunks.total, 'chunk')}"
        )
    return 0


@versions.command()
@click.option(
    "--keep", type=click.IntRange(0), metavar="N", help="Newest runs to keep (keep_versions)."
)
@click.option("-n", "--dry-run", is_flag=True, help="Only show what would be deleted.")
@common
def gc(options: Common, keep: int | None, dry_run: bool) -> int:
    """Delete old versions and free their space.

    The newest N, all tagged versions and the one that queries use stay. A replaced table is
    deleted with its last version.
    """
    workspace = options.workspace()
    least = workspace.settings.settings.keep_versions if keep is None else keep
    garbage = workspace.history.garbage(least)
    if not options.as_json:
        runs = garbage.runs
        word = "version" if len(runs) == 1 else "versions"
        named = f"{word} {', '.join(map(str, runs))}" if runs else "no versions"
        tables = "".join(f", and the whole table of {model}" for model in garbage.models)
        show = echo if dry_run else options.report
        show(f"{'Would delete' if dry_run else 'Deleting'} {named}{printable(tables)}")
    freed = None if dry_run else workspace.history.collect_garbage(least)
    if options.as_json:
        echo_json(json_forms.garbage_json(garbage, freed))
    elif freed is not None:
        options.report(f"Freed {size(max(0, freed))}")
    return 0


def _changed(version: Version) -> str:
    """Return how many files a run added, changed and removed."""
    marks = (("+", "added"), ("~", "changed"), ("-", "removed"))
    return " ".join(f"{mark}{version.files[key]}" for mark, key in marks if version.files.get(key))


def _kinds(changes: Changes) -> list[tuple[str, tuple[str, ...], str]]:
    return [
        ("+", changes.added, "green"),
        ("~", changes.changed, "yellow"),
        ("-", changes.removed, "red"),
    ]
