"""The group of commands, loaded lazily."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import sys
import warnings
from pathlib import Path
from typing import NoReturn

import click

import localembed
from localembed.cli import exit_codes, signals
from localembed.cli.exit_codes import run
from localembed.cli.groups import SuggestingGroup
from localembed.cli.options import Session
from localembed.core import offline
from localembed.errors import StorageError
from localembed.store.lance.slim_import import leave_out_namespaces
from localembed.types.limits import DEFAULT_LIMITS, Limits

COMMANDS: dict[str, dict[str, tuple[str, str]]] = {
    "Build": {
        "init": ("localembed.cli.init:init", "Create a workspace in the current folder."),
        "index": ("localembed.cli.index:index", "Index folders and files, or update the index."),
        "rm": ("localembed.cli.rm:rm", "Remove a folder or file from the index."),
        "roots": ("localembed.cli.roots:roots", "List what is indexed, or say where it has moved."),
    },
    "Search": {
        "query": ("localembed.cli.query:query", "Search the index; also: search."),
        "files": ("localembed.cli.files:files", "List the indexed or skipped files."),
        "show": ("localembed.cli.show:show", "Show the chunks of a file, folder, line or ID."),
    },
    "Look after": {
        "status": ("localembed.cli.status:status", "Show what is indexed, or the settings."),
        "doctor": ("localembed.cli.doctor:doctor", "Check the workspace for damage, and fix it."),
        "versions": ("localembed.cli.versions:versions", "List, compare and restore versions."),
        "trust": ("localembed.cli.trust:trust", "Allow a workspace to reach outside its folder."),
    },
    "Models": {"models": ("localembed.cli.models:models", "List, download and check models.")},
    "Share": {"serve": ("localembed.cli.serve:serve", "Keep the index open for fast queries.")},
    "Measure": {
        "bench": ("localembed.cli.bench:bench", "Measure how fast this machine embeds."),
        "eval": ("localembed.cli.eval:evaluate", "Measure how well search answers questions."),
    },
}
"""Heading → command → (import path, help text), so that `--help` imports no command."""

_HELP = """Turn folders of documents into searchable embeddings, on this machine.

\b
  localembed index ~/notes
  localembed query "rotating api keys"
"""


ALIASES = {"search": "query"}
"""Other name of a command → its name."""


class LazyGroup(SuggestingGroup):
    """A group that imports a command when it is called."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Return the names in the order in which the help lists them."""
        return [name for commands in COMMANDS.values() for name in commands]

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        cmd_name = ALIASES.get(cmd_name, cmd_name)
        for commands in COMMANDS.values():
            if cmd_name in commands:
                module, _, attribute = commands[cmd_name][0].partition(":")
                command: click.Command = getattr(importlib.import_module(module), attribute)
                return command
        return None

    def known_names(self, ctx: click.Context) -> list[str]:
        """Return all names of commands, with the aliases."""
        return [*self.list_commands(ctx), *ALIASES]

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands under their headings."""
        for heading, commands in COMMANDS.items():
            with formatter.section(heading):
                formatter.write_dl([(name, text) for name, (_, text) in commands.items()])


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 88},
    help=_HELP,
    epilog="Exit codes: 0 success, 1 nothing found, 2 wrong usage, 3 some inputs failed, "
    "4 model error, 5 workspace error, 6 network not allowed, 70 bug, 130 interrupted, "
    "143 terminated.",
)
@click.version_option(
    localembed.__version__, prog_name="localembed", message="%(prog)s %(version)s"
)
def cli() -> None:
    """Check what every command needs.

    Raises:
        StorageError: the current folder was deleted, in which DuckDB ends the process.
    """
    try:
        os.getcwd()  # noqa: PTH109 - its result is not used
    except OSError as error:
        message = "The current folder does not exist any more. Go to another one, then try again."
        raise StorageError(message) from error


def main(limits: Limits = DEFAULT_LIMITS) -> NoReturn:
    """Run the command line and exit with its code.

    Args:
        limits: sizes and thresholds that no user needs to set.
    """
    _open_closed_streams()
    _escape_unwritable()
    if not sys.warnoptions:
        # Warnings are for developers, and interrupting a library causes even more of them.
        warnings.simplefilter("ignore")
    signals.listen()
    offline.guard.start()
    leave_out_namespaces()
    code = run(cli, sys.argv[1:], Session(limits))
    try:
        sys.stdout.flush()
    except OSError:  # the reader closed the pipe, or the disk is full
        _discard_stdout()
    if exit_codes.stopping is not None:
        # Another signal, or a thread that is still running inside a library, would break the
        # interpreter's shutdown.
        with contextlib.suppress(OSError):
            sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _open_closed_streams() -> None:
    """Reopen streams that the caller closed, or a workspace file would get their descriptors."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115 - stays open until exit


def _escape_unwritable() -> None:
    """Make stdout write escapes for characters that its encoding does not have."""
    out = sys.stdout
    if isinstance(out, io.TextIOWrapper) and not out.encoding.lower().startswith("utf"):
        out.reconfigure(errors="backslashreplace")


def _discard_stdout() -> None:
    """Redirect stdout to nowhere, so that the flush at exit fails silently."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
