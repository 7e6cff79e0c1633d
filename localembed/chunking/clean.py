"""Clean a chunk's text for the model in pure steps; the stored text is not changed.

A step is a function from text to text; to add one, add it to `STEPS`.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from localembed.types.documents import Cleaner

VERSION = 1
"""Version of the steps; raise it when their output changes, so that affected chunks are embedded
again."""

_NEWLINES = re.compile(r"\r\n?")
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f\ufeff]")


def line_feeds(text: str) -> str:
    """Write every line end as a line feed."""
    return _NEWLINES.sub("\n", text) if "\r" in text else text


def composed(text: str) -> str:
    """Compose characters (NFC), so that two encodings of the same text become equal."""
    return text if unicodedata.is_normalized("NFC", text) else unicodedata.normalize("NFC", text)


def without_controls(text: str) -> str:
    """Remove control characters except tab, line feed and form feed."""
    return _CONTROLS.sub("", text)


STEPS: tuple[Cleaner, ...] = (line_feeds, without_controls, composed)
"""Steps in order: characters are composed after control characters between them are removed."""


def clean(text: str) -> str:
    """Return `text` cleaned for the model; the same object if nothing changed."""
    for step in STEPS:
        text = step(text)
    return text
