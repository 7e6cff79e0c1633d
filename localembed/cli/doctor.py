"""`localembed doctor`."""

from __future__ import annotations

import click

from localembed import checkup
from localembed.cli.options import Common, common
from localembed.cli.render.output import echo, echo_json, style
from localembed.cli.render.progress import IndexProgress
from localembed.cli.render.text import near, printable, wrapped
from localembed.core.text import counted
from localembed.errors import UsageError
from localembed.types import json_forms
from localembed.types.findings import Checkup, Finding

_COLOURS = {"ok": "green", "note": "yellow", "wrong": "red"}
_INDENT = " " * 21
_MAX_PATHS = 20
_FOUND = 5


@click.command()
@click.option("--deep", is_flag=True, help="Read every file and vector, not just a sample.")
@click.option("--repair", is_flag=True, help="Fix what can be fixed without loss.")
@click.option("--offline", is_flag=True, help="Prove that localembed works without a network.")
@common
def doctor(options: Common, deep: bool, repair: bool, offline: bool) -> int:
    """Check the workspace for damage; exits with 5 if there is any.

    --offline embeds a text and queries the index while all network access is refused, and prints
    the proof.

    --repair removes damaged data, embeds only the affected files again, and reports what it did.
    """
    workspace = options.workspace()
    if offline and (deep or repair):
        message = "--offline is a separate check: it works with neither --deep nor --repair."
        raise UsageError(message)
    if offline:
        found = checkup.prove_offline(workspace)
    else:
        with IndexProgress(enabled=not options.quiet) as progress:
            found = checkup.doctor(workspace, deep=deep, repair=repair, on_event=progress)
    if options.as_json:
        echo_json(json_forms.checkup_json(found))
    else:
        echo(_text(found))
    return _FOUND if found.verdict == "wrong" else 0


def _text(checkup: Checkup) -> str:
    lines = [f"{style('fixed', fg='cyan')} {printable(it)}" for it in checkup.fixed]
    for finding in checkup.findings:
        lines += _lines(finding)
    wrong = sum(finding.verdict == "wrong" for finding in checkup.findings)
    lines.append(f"{counted(wrong, 'problem')} found" if wrong else "No problems found")
    return "\n".join(lines)


def _lines(finding: Finding) -> list[str]:
    verdict = style(f"{finding.verdict:<6}", fg=_COLOURS[finding.verdict])
    text = wrapped(printable(finding.text), _INDENT)
    lines = [f"{verdict} {finding.check:<14}{text[len(_INDENT) :]}"]
    shown = finding.paths[:_MAX_PATHS]
    lines += [f"{_INDENT}{printable(near(path))}" for path in shown]
    if more := len(finding.paths) - len(shown):
        lines.append(f"{_INDENT}and {more:,} more (--json lists all)")
    if finding.fix:
        lines.append(f"{_INDENT}Run: {finding.fix}")
    return lines
