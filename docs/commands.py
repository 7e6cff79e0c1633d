"""Write docs/commands.md from the commands' own help; with --check, only compare.

python docs/commands.py [--check]
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from localembed.cli.main import cli

PAGE = Path(__file__).parent / "commands.md"
_WIDTH = 88


def main() -> int:
    """Write or compare the page; return the exit code."""
    text = page()
    if "--check" in sys.argv[1:]:
        return 0 if PAGE.read_text() == text else 1
    PAGE.write_text(text)
    return 0


def page() -> str:
    """Return the page: the help of the group and of every command."""
    parts = ["# Commands", "Written by `make docs` from the commands' own help."]
    for name, command, context in _commands(cli, "localembed", None):
        parts += [f"## `{name}`", "```\n" + command.get_help(context).rstrip() + "\n```"]
    return "\n\n".join(parts) + "\n"


def _commands(
    command: click.Command, name: str, parent: click.Context | None
) -> Iterator[tuple[str, click.Command, click.Context]]:
    settings = {**command.context_settings, "terminal_width": _WIDTH}
    context = click.Context(command, parent=parent, info_name=name.split()[-1], **settings)
    yield name, command, context
    if isinstance(command, click.Group):
        for sub in command.list_commands(context):
            found = command.get_command(context, sub)
            if found is not None:
                yield from _commands(found, f"{name} {sub}", context)


if __name__ == "__main__":
    sys.exit(main())
