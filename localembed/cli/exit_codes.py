"""The one boundary that turns errors into exit codes."""

from __future__ import annotations

import errno
import sys
import traceback

import click

from localembed.cli.render.text import printable
from localembed.errors import LocalembedError

_BUG, _UNWRITABLE = 70, 5
_AT_CTRL_C, _AT_TERM = ("Interrupted", 130), ("Terminated", 143)


class Terminated(BaseException):
    """SIGTERM or SIGHUP came: unwind as for Ctrl-C, so that locks and files are left in order."""


stopping: type[BaseException] | None = None
"""What a signal raised in this process, if one came."""


def run(command: click.Command, arguments: list[str], session: object = None) -> int:
    """Carry out a command line and return its exit code, with everything said that has to be said.

    Args:
        command: the group.
        arguments: of the program, without its name.
        session: what the process brings along (see `options.Session`).
    """
    code = 0
    stdout = sys.stdout
    try:
        result = command.main(arguments, prog_name="localembed", standalone_mode=False, obj=session)
        code = result if isinstance(result, int) else 0
    except (click.exceptions.Abort, KeyboardInterrupt):
        code = _stopped(*_AT_CTRL_C)
    except Terminated:
        code = _stopped(*_AT_TERM)
    except click.ClickException as error:
        code = _refused(error)
    except LocalembedError as error:
        click.echo(f"Error: {printable(str(error))}", err=True)
        code = error.exit_code
    except SystemExit as stop:
        # Click exits by itself after completions for the shell, and replaces stdout and exits with
        # 1 when a pipe was closed, which is no error here.
        closed = sys.stdout is not stdout
        code = stop.code if isinstance(stop.code, int) and not closed else 0
    except Exception as error:  # noqa: BLE001 - the boundary: everything unforeseen is a bug
        code = _unforeseen(error)
    return code


def _unforeseen(error: Exception) -> int:
    """Say what happened that no code above has a sentence for."""
    if stopping is not None:  # DuckDB makes an error of its own of what a signal raises inside it
        return _stopped(*(_AT_TERM if stopping is Terminated else _AT_CTRL_C))
    if isinstance(error, OSError) and error.errno == errno.ENOSPC and error.filename is None:
        why = f"{error.strerror}. Free some space, then run the same command again."
        click.echo(f"Error: the output cannot be written: {why}", err=True)
        return _UNWRITABLE
    traceback.print_exc()
    click.echo("Error: this is a bug in localembed; please report the lines above.", err=True)
    return _BUG


def _refused(error: click.ClickException) -> int:
    """Say what is wrong with the arguments, as click does, but for control characters."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is not None and isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(context.get_help(), err=True)
        return error.exit_code
    if context is not None:
        click.echo(f"{context.get_usage()}\nTry '{context.command_path} -h' for help.\n", err=True)
    click.echo(f"Error: {printable(error.format_message())}", err=True)
    return error.exit_code


def _stopped(how: str, code: int) -> int:
    click.echo(
        f"{how}. What was indexed so far is kept; the same command goes on from there.", err=True
    )
    return code
