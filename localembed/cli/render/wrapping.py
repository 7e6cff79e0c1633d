"""Wrap sentences at the width of a terminal, with commands and paths in one piece to be copied."""

from __future__ import annotations

import os
import re
from textwrap import wrap

_COMMAND = re.compile(
    r"""localembed
    (?:\ [a-z]+)?                               # a command, and one of a group
    (?:\ (?:bundle|list|use|pull|add|verify|rm|create|install|diff|tag|restore|gc|move))*
    (?:\ (?:
        -\S*?                                   # an option
        | \$?'[^'\n]*' | "[^"\n]*"              # a quoted word
        | [A-Z][A-Z=]*                          # a placeholder
        | [^\s()'"`]*[/~\d._-][^\s()'"`]*?      # a path, a number, the name of a model
    )(?=[\s.,;:)`]|$))*""",
    re.VERBOSE,
)
"""A command line in a sentence: it ends at punctuation, or at a word that is no argument."""
_QUOTED = re.compile(r"""(?<!\w)'[^'\n]{1,200}'(?!\w)|"[^"\n]{1,200}\"""")
_PATH = re.compile(r"(?<!\S)[~/]\S*(?: \S+)*")
_GLUE = "\ue000"
"""A private character that stands for a space at which no line may end."""
_MAX_WORDS = 12


def wrapped_text(text: str, columns: int, first: str = "", other: str = "") -> str:
    """Return text wrapped between words, never within a word, a command, a quotation or a path.

    Args:
        text: one paragraph.
        columns: maximum columns, which only what has to stay in one piece exceeds.
        first: what the first line begins with.
        other: what further lines begin with.
    """
    for pattern in (_COMMAND, _QUOTED):
        text = pattern.sub(_glued, text)
    text = _PATH.sub(_glued_path, text)
    lines = wrap(
        text, columns, initial_indent=first, subsequent_indent=other, break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip
    return "\n".join(lines).replace(_GLUE, " ")


def _glued(found: re.Match[str]) -> str:
    return found[0].replace(" ", _GLUE)


def _glued_path(found: re.Match[str]) -> str:
    """Return what begins with a path, with the spaces glued in as much of it as exists."""
    words = found[0].split(" ")
    for number in range(min(len(words), _MAX_WORDS), 1, -1):
        path = " ".join(words[:number]).replace(_GLUE, " ")
        if _exists(path, len(words[0])):
            rest = _PATH.sub(_glued_path, " ".join(words[number:]))
            return _GLUE.join(words[:number]) + (f" {rest}" if rest else "")
    head, _, rest = found[0].partition(" ")
    return f"{head} {_PATH.sub(_glued_path, rest)}" if rest else head


def _exists(path: str, known: int) -> bool:
    """Tell whether a path exists, or its folder if that is longer than the first `known` letters.

    Punctuation at its end may belong to the sentence.
    """
    whole = os.path.expanduser(path)  # noqa: PTH111 - as text
    folder = os.path.dirname(whole)  # noqa: PTH120 - as text
    spellings = (whole, whole.rstrip(".,;:)"))
    inside = len(os.path.dirname(path)) > known and os.path.lexists(folder)  # noqa: PTH120
    return inside or any(map(os.path.lexists, spellings))
