"""What the model sees of a chunk: pure steps from the untouched span to its cleaned form.

A step is one function from text to text; adding one is adding it to `STEPS`.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from localembed.types.documents import Cleaner

VERSION = 1
"""Raise it when a step changes what comes out: cleaned text decides what is embedded again."""

_NEWLINES = re.compile(r"\r\n?")
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f\ufeff]")


def line_feeds(text: str) -> str:
    """Write every line end as a line feed."""
    return _NEWLINES.sub("\n", text) if "\r" in text else text


def composed(text: str) -> str:
    """Compose characters (NFC), so that two spellings of one text are one text."""
    return text if unicodedata.is_normalized("NFC", text) else unicodedata.normalize("NFC", text)


def without_controls(text: str) -> str:
    """Drop control characters that carry no text; tab, line and form feed stay."""
    return _CONTROLS.sub("", text)


STEPS: tuple[Cleaner, ...] = (line_feeds, without_controls, composed)
"""In this order: what a control character kept apart is composed once it is gone."""


def clean(text: str) -> str:
    """Return what the model sees of `text`; the same object when nothing had to change."""
    for step in STEPS:
        text = step(text)
    return text
