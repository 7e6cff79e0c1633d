"""Fit text to a terminal: no control characters, no line wider than it."""

from __future__ import annotations

import datetime
import re

from wcwidth import wcswidth, wcwidth

from localembed.cli.render import screen
from localembed.cli.render.wrapping import wrapped_text

INDENT = "   "
_LONG_VALUE = re.compile(r"""'[^'\n]{200,}'|"[^"\n]{200,}"|\S{200,}""")
_SHOWN, _MAX_PATH = 60, 4200
"""Characters that are shown of a long value, and from which it can be no path."""
_INTERPRETED = re.compile(
    "[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f"  # C0 and C1 but newline and tab
    "\\u2028\\u2029"  # line and paragraph separators
    "\\u202a-\\u202e\\u2066-\\u206f\\ufff9-\\ufffb"  # change the direction, or hide what follows
    "\\ud800-\\udfff]"  # bytes that are not UTF-8
)
"""Characters that a terminal acts on, or cannot be given."""


def width() -> int:
    """Return the columns to fill: the terminal's width, clamped to 40-120."""
    return max(40, min(screen.current().columns, 120))


def printable(text: str) -> str:
    """Return text with control characters as escapes: it cannot move the cursor or break a line.

    Bytes of an argument that are not valid UTF-8 are shown as escapes, too.
    """
    return "".join(c if c.isprintable() else _escape(c) for c in text)


def with_short_values(text: str) -> str:
    """Return a message with the rest of very long values left out, but for paths."""
    return _LONG_VALUE.sub(_shortened, text)


def _shortened(found: re.Match[str]) -> str:
    value = found[0]
    if "/" in value and len(value) < _MAX_PATH:
        return value
    quote = value[-1] if value[0] in "'\"" and value[-1] == value[0] else ""
    return f"{value[:_SHOWN]}…{quote}"


def escaped(text: str) -> str:
    """Return text of several lines with all that a terminal would interpret as escapes.

    Line ends, tabs, and characters without a glyph that writing needs (such as joiners) stay.
    """
    return _INTERPRETED.sub(lambda found: _escape(found[0]), text.replace("\r\n", "\n"))


def _escape(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # how Python holds a byte that is not UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


def clipped(text: str, columns: int) -> str:
    """Return as much of a text as fits, counting wide characters as two columns."""
    if wcswidth(text) <= columns:
        return text
    room = columns - 1
    for place, character in enumerate(text):
        room -= max(0, wcwidth(character))
        if room < 0:
            return text[:place] + "…"
    return text


def wrapped(text: str, indent: str = "") -> str:
    """Return text wrapped at spaces, with further lines indented once more."""
    return wrapped_text(text, width(), indent, indent + INDENT)


def duration(seconds: float) -> str:
    """Return a time to wait in at most two units, rounded."""
    minutes, rest = divmod(round(seconds), 60)
    hours, left = divmod(minutes, 60)
    if hours:
        return f"{hours:,} h {left} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def local_time(moment: str) -> str:
    """Return an ISO 8601 moment in the local time zone, which is named; empty if it is none."""
    try:
        found = datetime.datetime.fromisoformat(moment).astimezone()
    except (ValueError, OverflowError, OSError):
        return ""
    return f"{found:%Y-%m-%d %H:%M %Z}"


def relative(path: str) -> str:
    """Return a path relative to the current folder if it is below it, or else as it is.

    One that begins with a dash gets a `./`, so that no program takes it for an option.
    """
    here = screen.current().folder.rstrip("/") + "/"
    short = path.removeprefix(here)
    return f"./{short}" if short.startswith("-") else short


def near(path: str) -> str:
    """Return a path relative to the current folder if it is below it, or else to the home."""
    here = screen.current().folder.rstrip("/") + "/"
    return path.removeprefix(here) if path.startswith(here) else from_home(path)


def from_home(path: str) -> str:
    """Return a path with ~ for the home folder."""
    home = screen.current().home.rstrip("/")
    return "~" + path[len(home) :] if home and path.startswith(home + "/") else path


def size(number: int) -> str:
    """Return a number of bytes in a suitable unit."""
    amount = float(number)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} B" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:,.1f} TiB"
