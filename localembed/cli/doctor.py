"""`localembed doctor`."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from localembed import checkup
from localembed.cli.options import Common, common
from localembed.cli.render.progress import IndexProgress
from localembed.cli.render.text import near, printable, wrapped
from localembed.core.text import counted
from localembed.errors import UsageError
from localembed.types.findings import Checkup, Finding

_COLOURS = {"ok": "green", "note": "yellow", "wrong": "red"}
_INDENT = " " * 21
_MAX_PATHS = 20
_FOUND = 5


@click.command()
@click.option("--deep", is_flag=True, help="Read every file and vector, not only a sample.")
@click.option("--repair", is_flag=True, help="Fix what can be fixed without loss.")
@click.option("--offline", is_flag=True, help="Prove that embedding and asking need no network.")
@common
def doctor(options: Common, deep: bool, repair: bool, offline: bool) -> int:
    """Look whether everything in the workspace is sound; exit code 5 if something is not.

    --offline embeds a text and asks the index while every way out of this machine is refused, and
    prints the proof.

    --repair takes out what is damaged, embeds just those files again, and says what it did.
    """
    workspace = options.workspace()
    if offline and (deep or repair):
        message = "--offline is a check of its own: it goes with neither --deep nor --repair."
        raise UsageError(message)
    if offline:
        found = checkup.prove_offline(workspace)
    else:
        with IndexProgress(enabled=not options.quiet) as progress:
            found = checkup.doctor(workspace, deep=deep, repair=repair, on_event=progress)
    if options.as_json:
        click.echo(json.dumps({"verdict": found.verdict, **asdict(found)}))
    else:
        click.echo(_text(found))
    return _FOUND if found.verdict == "wrong" else 0


def _text(checkup: Checkup) -> str:
    lines = [f"{click.style('fixed', fg='cyan')} {printable(it)}" for it in checkup.fixed]
    for finding in checkup.findings:
        lines += _lines(finding)
    wrong = sum(finding.verdict == "wrong" for finding in checkup.findings)
    lines.append(f"{counted(wrong, 'thing')} to fix" if wrong else "All is well")
    return "\n".join(lines)


def _lines(finding: Finding) -> list[str]:
    verdict = click.style(f"{finding.verdict:<6}", fg=_COLOURS[finding.verdict])
    text = wrapped(printable(finding.text), _INDENT)
    lines = [f"{verdict} {finding.check:<14}{text[len(_INDENT) :]}"]
    shown = finding.paths[:_MAX_PATHS]
    lines += [f"{_INDENT}{printable(near(path))}" for path in shown]
    if more := len(finding.paths) - len(shown):
        lines.append(f"{_INDENT}and {more:,} more (all: --json)")
    if finding.fix:
        lines.append(f"{_INDENT}Run: {finding.fix}")
    return lines
