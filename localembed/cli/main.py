"""The group of commands, loaded lazily."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import warnings
from pathlib import Path
from typing import NoReturn

import click

import localembed
from localembed.cli import exit_codes, signals
from localembed.cli.exit_codes import run
from localembed.cli.options import Session
from localembed.core import offline
from localembed.store.lance.slim_import import leave_out_namespaces
from localembed.types.limits import DEFAULT_LIMITS, Limits

COMMANDS: dict[str, dict[str, tuple[str, str]]] = {
    "Build": {
        "init": ("localembed.cli.init:init", "Make a workspace in the current folder."),
        "index": ("localembed.cli.index:index", "Index folders and files, or refresh the index."),
        "rm": ("localembed.cli.rm:rm", "Forget a folder or file that was indexed."),
        "versions": ("localembed.cli.versions:versions", "Go back to what earlier runs left."),
    },
    "Search": {
        "query": ("localembed.cli.query:query", "Search what was indexed."),
        "show": ("localembed.cli.show:show", "Show the chunks of a file, a line, or an id."),
    },
    "Share": {"serve": ("localembed.cli.serve:serve", "Keep the index open for fast queries.")},
    "Trust": {
        "status": ("localembed.cli.status:status", "Show what is indexed, and settings."),
        "doctor": ("localembed.cli.doctor:doctor", "Find what is damaged, and fix it."),
    },
    "Measure": {
        "bench": ("localembed.cli.bench:bench", "Measure how fast this machine embeds."),
        "eval": ("localembed.cli.eval:evaluate", "Measure how well questions are answered."),
    },
    "Models": {"models": ("localembed.cli.models:models", "Show the models that can be used.")},
}
"""Heading → command → (where it is, what `--help` says): help imports no command."""

_HELP = """Turn folders of documents into searchable embeddings, on this machine.

\b
  localembed index ~/notes
  localembed query "rotating api keys"
"""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Return the names in the order of the help."""
        return [name for commands in COMMANDS.values() for name in commands]

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        for commands in COMMANDS.values():
            if cmd_name in commands:
                module, _, attribute = commands[cmd_name][0].partition(":")
                command: click.Command = getattr(importlib.import_module(module), attribute)
                return command
        return None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command, suggesting the nearest name if there is none."""
        import difflib

        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], self.list_commands(ctx), n=1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            ctx.fail(f"No such command '{args[0]}'.{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands under their headings."""
        for heading, commands in COMMANDS.items():
            with formatter.section(heading):
                formatter.write_dl([(name, text) for name, (_, text) in commands.items()])


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 88},
    help=_HELP,
    epilog="Exit codes: 0 done, 1 nothing found, 2 usage, 3 some inputs failed, 4 model, "
    "5 workspace, 6 offline, 70 a bug, 130 interrupted, 143 terminated.",
)
@click.version_option(
    localembed.__version__, prog_name="localembed", message="%(prog)s %(version)s"
)
def cli() -> None:
    """Hold the commands."""


def main(limits: Limits = DEFAULT_LIMITS) -> NoReturn:
    """Run the command line and exit with its code.

    Args:
        limits: sizes and thresholds that no user needs to set.
    """
    _open_closed_streams()
    if not sys.warnoptions:
        # They are for developers; a library that is stopped in the middle has one more to give.
        warnings.simplefilter("ignore")
    signals.listen()
    offline.guard.start()
    leave_out_namespaces()
    code = run(cli, sys.argv[1:], Session(limits))
    try:
        sys.stdout.flush()
    except OSError:  # nobody reads it any more, or its disk is full
        _discard_stdout()
    if exit_codes.stopping is not None:
        # Another signal, or a thread that is still inside of a library, would break the
        # interpreter's own end.
        with contextlib.suppress(OSError):
            sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _open_closed_streams() -> None:
    """Open what the caller closed: else a file of the workspace would get its number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115 - until the end


def _discard_stdout() -> None:
    """Let the interpreter's own flush at exit go nowhere, silently."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
