"""The single boundary that turns errors into messages and exit codes."""

from __future__ import annotations

import errno
import os
import sys

import click

from localembed.cli.render.output import echo, echo_message, echo_traceback
from localembed.cli.render.text import printable
from localembed.core.panics import panics_as_errors
from localembed.core.text import unwritable_output
from localembed.errors import LocalembedError

_USAGE, _BUG, _UNWRITABLE = 2, 70, 5
_SHOWN = 60
"""Characters of a path that is too long to show."""


class Terminated(BaseException):
    """SIGTERM or SIGHUP arrived: unwind as for Ctrl-C, so that locks and files stay in order."""


stopping: type[BaseException] | None = None
"""Exception that a signal raised in this process, if one arrived."""


def code_of(kind: type[BaseException] | None) -> int:
    """Return the exit code after a signal that raised this exception."""
    return 143 if kind is Terminated else 130


def run(command: click.Command, arguments: list[str], session: object = None) -> int:
    """Run a command line, print its errors, and return its exit code.

    Args:
        command: the group of commands.
        arguments: the program's arguments, without its name.
        session: what the process brings to its commands (see `options.Session`).
    """
    code = 0
    stdout = sys.stdout
    try:
        with panics_as_errors():
            result = command.main(
                arguments, prog_name="localembed", standalone_mode=False, obj=session
            )
        code = result if isinstance(result, int) else 0
    except (click.exceptions.Abort, KeyboardInterrupt, Terminated) as error:
        code = _stopped(error)
    except click.ClickException as error:
        code = _refused(error)
    except LocalembedError as error:
        echo_message(error_line(error))
        code = error.exit_code
    except SystemExit as stop:
        # Click exits by itself after shell completion. When a pipe was closed, it replaces stdout
        # and exits with 1, but that is not an error here.
        closed = sys.stdout is not stdout
        code = stop.code if isinstance(stop.code, int) and not closed else 0
    except Exception as error:  # noqa: BLE001 - the boundary: any other exception is a bug
        code = _unforeseen(error)
    return code


def error_line(error: LocalembedError) -> str:
    """Return the sentence that a command prints for an error."""
    return f"Error: {error}"


def _unforeseen(error: Exception) -> int:
    """Report an exception that localembed did not raise on purpose."""
    if stopping is not None:  # DuckDB turns an exception from a signal handler into its own error
        return _stopped(error)
    if isinstance(error, OSError) and error.errno == errno.ENOSPC and error.filename is None:
        echo_message(unwritable_output(error))
        return _UNWRITABLE
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        name = printable(os.fsdecode(error.filename or ""))
        echo(f"Error: This path is too long for the system: {name[:_SHOWN]}…", err=True)
        return _USAGE
    echo_traceback()
    echo("Error: this is a bug in localembed; please report the lines above.", err=True)
    return _BUG


def _refused(error: click.ClickException) -> int:
    """Report wrong arguments as click does, but with control characters escaped."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is not None and isinstance(error, click.exceptions.NoArgsIsHelpError):
        echo(context.get_help(), err=True)
        return error.exit_code
    if context is not None:
        echo(f"{context.get_usage()}\nTry '{context.command_path} -h' for help.\n", err=True)
    echo_message(f"Error: {error.format_message()}")
    return error.exit_code


def _stopped(error: BaseException) -> int:
    """Say that a signal ended the command, and what it kept."""
    how = "Terminated" if stopping is Terminated else "Interrupted"
    # Click replaces Ctrl-C's exception; a run notes on it what is kept.
    notes = getattr(error, "__notes__", ()) or getattr(error.__cause__, "__notes__", ())
    echo_message(" ".join([f"{how}.", *notes]))
    return code_of(stopping)
