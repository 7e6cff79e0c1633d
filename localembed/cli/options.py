"""Options that all commands share."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from localembed.cli.render.output import echo, echo_message
from localembed.core import terminal
from localembed.errors import UsageError
from localembed.types.limits import DEFAULT_LIMITS, Limits

if TYPE_CHECKING:
    from localembed.workspace.workspace import Workspace


class _Finite(click.types.FloatParamType):
    """A number that is neither infinite nor NaN."""

    def convert(
        self,
        value: Any,  # noqa: ANN401 - click's signature
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> float:
        """Return the number."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number


class _FiniteRange(_Finite, click.FloatRange):
    """A finite number within bounds."""


class NamedPath(click.Path):
    """A path that is not empty: that would be the current folder, or what a variable lacks."""

    def convert(
        self,
        value: Any,  # noqa: ANN401 - click's signature
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:  # noqa: ANN401 - click's signature
        """Return the path."""
        if not value:
            self.fail("an empty path names nothing; to name the current folder, use: .", param, ctx)
        return super().convert(value, param, ctx)


FINITE = _Finite()
AMOUNT = _FiniteRange(min=0)
FRACTION = _FiniteRange(min=0, max=1)


COLORS = ("auto", "always", "never")
_COLOR_VARIABLE = "LOCALEMBED_COLOR"


def chosen_color(
    choice: str | None, variables: Mapping[str, str], *, is_plain: bool
) -> bool | None:
    """Return whether to print colours and links; None if only a terminal gets them.

    Args:
        choice: the value of --color, if it was given.
        variables: variables of the process that prints, which may set a default.
        is_plain: whether colours are unwanted there unless they are asked for.

    Raises:
        UsageError: the variable has an unknown value.
    """
    named = choice or variables.get(_COLOR_VARIABLE) or "auto"
    if named not in COLORS:
        message = f"{_COLOR_VARIABLE} is {named!r}, but must be one of {', '.join(COLORS)}."
        raise UsageError(message)
    if named == "auto":
        return False if is_plain else None
    return named == "always"


@dataclass(frozen=True, slots=True)
class Session:
    """What a process brings to the commands that it runs."""

    limits: Limits = DEFAULT_LIMITS


@dataclass(frozen=True, slots=True)
class Common:
    """Values of the options that every command accepts."""

    folder: Path | None
    as_json: bool
    quiet: bool
    session: Session

    def workspace(self, flags: Mapping[str, object] | None = None) -> Workspace:
        """Return the named workspace, or the one that discovery finds."""
        from localembed.workspace.workspace import Workspace

        named = str(self.folder) if self.folder is not None else None
        return Workspace.discover(flags or {}, self.session.limits, named=named)

    def report(self, text: str) -> None:
        """Print what a command has changed, unless --quiet was given."""
        if not self.quiet:
            echo(text)

    def notice(self, text: str) -> None:
        """Print a notice on stderr, unless --quiet was given."""
        if not self.quiet:
            echo_message(text)


def common(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --workspace, --json, --quiet and --color, passed to the command as its first argument."""

    @click.option(
        "--workspace",
        "folder",
        type=NamedPath(path_type=Path),
        metavar="DIR",
        help="Workspace folder (default: found as git finds a repository).",
    )
    @click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
    @click.option("-q", "--quiet", is_flag=True, help="Print no progress, notices or reports.")
    @click.option(
        "--color",
        type=click.Choice(COLORS),
        metavar="WHEN",
        help="Print in colour: auto (on a terminal), always or never.",
    )
    @wraps(command)
    def wrapped(
        folder: Path | None,
        as_json: bool,
        quiet: bool,
        color: str | None,
        **rest: Any,  # noqa: ANN401 - the command's own options
    ) -> Any:  # noqa: ANN401 - what the command returns
        place = folder.expanduser().absolute() if folder else None
        context = click.get_current_context()
        context.color = chosen_color(color, os.environ, is_plain=terminal.is_plain())
        session = context.obj or Session()
        return command(Common(place, as_json, quiet, session), **rest)

    return wrapped  # fmt: skip


def model_names(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Complete the name of a model in the shell."""
    from localembed.errors import LocalembedError
    from localembed.models import load_specs

    try:
        return [name for name in load_specs() if name.startswith(incomplete)]
    except LocalembedError:
        return []


def language_names(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Complete the name of a language in the shell."""
    from localembed.store.lance.filters import languages

    return [name for name in languages() if name.startswith(incomplete)]
