"""Put something wrong in place of each file and folder of a workspace, and see what commands do."""

from __future__ import annotations

import io
import random
import shutil
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from localembed.cli.exit_codes import run
from localembed.cli.main import cli

DOCUMENTED = {0, 1, 2, 3, 4, 5}
COMMANDS: tuple[tuple[str, ...], ...] = (
    ("status",),
    ("query", "begins here", "--no-resident"),
    ("doctor",),
    ("versions", "list"),
    ("index",),
    ("doctor", "--repair"),
    ("index",),
    ("query", "begins here", "--no-resident"),
    ("doctor",),
)


def _empty(path: Path) -> None:
    _clear(path)
    path.touch()


def _random(path: Path) -> None:
    _clear(path)
    path.write_bytes(random.Random(path.name).randbytes(3000))


def _folder(path: Path) -> None:
    _clear(path)
    path.mkdir()
    (path / "inner").write_text("x")


def _dangling(path: Path) -> None:
    _clear(path)
    path.symlink_to("/nonexistent/target")


def _loop(path: Path) -> None:
    _clear(path)
    path.symlink_to(path.name)


def _gone(path: Path) -> None:
    _clear(path)


def _json_list(path: Path) -> None:
    _clear(path)
    path.write_text("[]")


def _json_object(path: Path) -> None:
    _clear(path)
    path.write_text('{"format": 1, "tables": [], "default": 7, "roots": 3, "missing": 1}')


def _clear(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


WAYS: dict[str, Callable[[Path], None]] = {
    "empty": _empty,
    "random": _random,
    "folder": _folder,
    "dangling": _dangling,
    "loop": _loop,
    "gone": _gone,
    "list": _json_list,
    "object": _json_object,
}


@dataclass(frozen=True)
class Done:
    command: tuple[str, ...]
    code: int
    out: str
    err: str


def call(folder: Path, command: Sequence[str]) -> Done:
    """Run one command line in this process."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = run(cli, [*command, "--workspace", str(folder)])
    return Done(tuple(command), code, out.getvalue(), err.getvalue())


def places(folder: Path) -> list[str]:
    """Return every file and folder of a workspace, relative to it."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))
