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

from localembed.cli.render.text import clipped, escaped, printable, width

if TYPE_CHECKING:
    from tqdm import tqdm

_KEY = f"\x1b{os.urandom(8).hex()}"
"""Mark of the codes that this process adds, which no text from elsewhere can contain."""
_OWN_CODES = re.compile(f"{_KEY}<([^>]*)>")


def echo(text: str = "", *, err: bool = False, nl: bool = True) -> None:
    """Print text on stdout or stderr, with its own line ends and colours but no foreign codes."""
    parts = _OWN_CODES.split(text)
    parts[::2] = map(escaped, parts[::2])
    click.echo("".join(parts), err=err, nl=nl)


def echo_json(value: object) -> None:
    """Print one value as JSON, in ASCII: its escapes are JSON's own."""
    click.echo(json.dumps(value).replace("\x7f", "\\u007f"))


def echo_path(path: str) -> None:
    """Print the name of a file: as it is for another program, escaped for a terminal."""
    # Without `color`, click would strip escape sequences from a name.
    click.echo(printable(path) if sys.stdout.isatty() else path, color=True)


def ask(question: str) -> str:
    """Ask a question on stderr; return the answer, empty for none."""
    answer: str = click.prompt(escaped(question), default="", show_default=False, err=True)
    return answer.strip()


def overwrite_line(text: str) -> None:
    """Print a line over the last one; in a pipe, below it, and nothing for an empty one."""
    if sys.stdout.isatty():
        click.echo(f"\r\x1b[K{clipped(printable(text), width() - 1)}", nl=False)
    elif text:
        click.echo(printable(text))
    sys.stdout.flush()


def echo_traceback() -> None:
    """Print the exception that is being handled."""
    echo(traceback.format_exc(), err=True, nl=False)


def style(text: str, **how: Any) -> str:  # noqa: ANN401 - the options of click.style
    """Return text in a colour or weight, which only a terminal shows; see `click.style`."""
    return f"{_own(click.style('', reset=False, **how))}{text}{_own(click.style(''))}"


def linked(text: str, path: str) -> str:
    """Return text that links to a file (OSC 8) on terminals known to support it."""
    known = ("VTE_VERSION", "KITTY_WINDOW_ID", "WT_SESSION", "WEZTERM_PANE", "ITERM_SESSION_ID")
    if not sys.stdout.isatty() or not any(os.environ.get(name) for name in known):
        return text
    begin, end = (f"\x1b]8;;{target}\x1b\\" for target in (f"file://{quote(path)}", ""))
    return f"{_own(begin)}{text}{_own(end)}"


def progress_bar(*, shown: bool) -> type[tqdm[Any]]:
    """Return the class of progress bars: on stderr, only on a terminal, cleared when done."""
    from tqdm import tqdm

    fixed = {
        "disable": not (shown and sys.stderr.isatty()),
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
