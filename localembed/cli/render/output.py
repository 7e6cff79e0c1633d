"""The only way to the terminal: what a terminal would interpret is escaped, but for our own codes.

Texts from elsewhere (documents, names of files, models and folders, messages of libraries) reach
every command, so the one place that all of them pass is here; a test finds any other.
"""

from __future__ import annotations

import json
import os
import re
import sys
import traceback
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from localembed.cli.render import screen
from localembed.cli.render.text import (
    clipped,
    escaped,
    printable,
    relative,
    width,
    with_short_values,
)
from localembed.cli.render.wrapping import wrapped_text
from localembed.core import terminal

if TYPE_CHECKING:
    from tqdm import tqdm

_KEY = f"\x1b{os.urandom(8).hex()}"
"""Mark of the codes that this process adds, which no text from elsewhere can contain."""
_OWN_CODES = re.compile(f"{_KEY}<([^>]*)>")


def echo(text: str = "", *, err: bool = False, nl: bool = True) -> None:
    """Print text on stdout or stderr, with its own line ends and colours but no foreign codes."""
    click.echo(finished(text), err=err, nl=nl)


def echo_message(text: str) -> None:
    """Print a sentence on stderr, wrapped if that is a terminal."""
    echo(message(text, is_terminal=sys.stderr.isatty()), err=True)


def message(text: str, *, is_terminal: bool) -> str:
    """Return a sentence for stderr: as one line for a program, wrapped for a terminal."""
    shown = with_short_values(printable(text))
    return wrapped_text(shown, width()) if is_terminal else shown


def echo_raw(text: str) -> None:
    """Print data for another program as it is (see `json_line` and `path_line`)."""
    # Bytes, because a name need not be valid in the encoding of stdout.
    click.echo(text.encode("utf-8", "surrogateescape"), nl=False)


def echo_json(value: object) -> None:
    """Print one value as JSON."""
    echo_raw(json_line(value))


def finished(text: str) -> str:
    """Return text with its own line ends and colours but no foreign codes."""
    parts = _OWN_CODES.split(text)
    parts[::2] = map(escaped, parts[::2])
    return "".join(parts)


def without_styles(text: str) -> str:
    """Return finished text as it is written to what is not a terminal."""
    return click.unstyle(text)


def json_line(value: object) -> str:
    """Return one value as a line of JSON, in ASCII: its escapes are JSON's own."""
    return json.dumps(value).replace("\x7f", "\\u007f") + "\n"


def path_line(path: bytes, end: str = "\n") -> str:
    """Return the name of a file: as it is for another program, escaped for a terminal.

    Args:
        path: absolute path, shown relative to the current folder if it is below it.
        end: what follows the name.
    """
    name = relative(os.fsdecode(path))
    return f"{printable(name) if screen.current().is_terminal else name}{end}"


def confirm(question: str) -> bool:
    """Ask on stderr for yes or no; Enter alone is no."""
    return click.confirm(printable(question), err=True)


def ask(question: str) -> str:
    """Ask a question on stderr; return the answer, empty for none."""
    answer: str = click.prompt(escaped(question), default="", show_default=False, err=True)
    return answer.strip()


def overwrite_line(text: str) -> None:
    """Print a line over the last one; in a pipe, below it, and nothing for an empty one."""
    if sys.stdout.isatty() and terminal.can_overwrite():
        click.echo(f"\r\x1b[K{clipped(printable(text), width() - 1)}", nl=False)
    elif text:
        click.echo(printable(text))
    sys.stdout.flush()


def echo_traceback() -> None:
    """Print the exception that is being handled."""
    echo(traceback.format_exc(), err=True, nl=False)


def style(text: str, **how: Any) -> str:  # noqa: ANN401 - the options of click.style
    """Return text in a colour or weight, if it is printed in colour; see `click.style`."""
    return f"{_own(click.style('', reset=False, **how))}{text}{_own(click.style(''))}"


def linked(text: str, path: str) -> str:
    """Return text that links to a file (OSC 8) on terminals known to support it."""
    found = screen.current()
    if not (found.is_terminal and found.shows_links) or found.color is False:
        return text
    begin, end = (f"\x1b]8;;{target}\x1b\\" for target in (f"file://{quote(path)}", ""))
    return f"{_own(begin)}{text}{_own(end)}"


def progress_bar(*, shown: bool) -> type[tqdm[Any]]:
    """Return the class of progress bars: on stderr, only on a terminal, cleared when done."""
    from tqdm import tqdm

    fixed = {
        "disable": not (shown and sys.stderr.isatty() and terminal.can_overwrite()),
        "leave": False,
        "ncols": width(),
        "file": sys.stderr,
    }

    class Bar(tqdm):  # type: ignore[misc]
        def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401
            options.pop("name", None)  # the hub's own name for its bars
            super().__init__(*arguments, **{**options, **fixed})

        @staticmethod
        def format_meter(*arguments: Any, **options: Any) -> str:  # noqa: ANN401
            """Return the whole line, with descriptions that come from elsewhere escaped."""
            return printable(tqdm.format_meter(*arguments, **options))

    return Bar


def _own(code: str) -> str:
    return f"{_KEY}<{code}>"
