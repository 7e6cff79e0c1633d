"""The screen that output is for: this process's own, or that of the process that sent a query."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

import click

from localembed.core import terminal


@dataclass(frozen=True, slots=True)
class Screen:
    """What the form of output depends on."""

    folder: str
    """Current folder; paths below it are shown relative to it."""
    home: str
    """Home folder, which is shown as ~."""
    columns: int
    """Width of the terminal."""
    is_terminal: bool
    """Whether stdout is a terminal."""
    shows_links: bool
    """Whether the terminal is known to support links."""
    color: bool | None = None
    """Whether to print colours and links; None if only a terminal gets them."""

    @property
    def has_color(self) -> bool:
        """Whether colours are printed."""
        return self.is_terminal if self.color is None else self.color


class OwnScreen:
    """The screen of this process, as it is at the moment (see `Screen`)."""

    @property
    def folder(self) -> str:
        """Current folder."""
        return os.getcwd()  # noqa: PTH109 - compared as text

    @property
    def home(self) -> str:
        """Home folder."""
        return str(Path.home())

    @property
    def columns(self) -> int:
        """Width of the terminal."""
        return terminal.columns()

    @property
    def is_terminal(self) -> bool:
        """Whether stdout is a terminal."""
        return sys.stdout.isatty()

    @property
    def shows_links(self) -> bool:
        """Whether the terminal is known to support links."""
        return terminal.supports_links()

    @property
    def color(self) -> bool | None:
        """Whether to print colours and links; None if only a terminal gets them."""
        context = click.get_current_context(silent=True)
        return context.color if context is not None else None


_OWN = OwnScreen()
_SCREEN: ContextVar[Screen | OwnScreen] = ContextVar("screen", default=_OWN)


def current() -> Screen | OwnScreen:
    """Return the screen of this request, or else that of this process."""
    return _SCREEN.get()


@contextmanager
def rendering_for(screen: Screen) -> Iterator[None]:
    """Render for this screen in this thread."""
    token = _SCREEN.set(screen)
    try:
        yield
    finally:
        _SCREEN.reset(token)
