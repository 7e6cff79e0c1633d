"""Errors: each has a documented exit code, and one path to the process's exit."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys

import pytest

from localembed import errors
from tests.conftest import PROJECT

CLASSES = [
    value
    for _, value in inspect.getmembers(errors, inspect.isclass)
    if issubclass(value, errors.LocalembedError)
]
DOCUMENTED_CODES = {2, 3, 4, 5, 6}
_LINE = re.compile(r"^([│├└─\s]*)(\w+Error)(?:\s+(\d+))?")


def tree() -> dict[str, tuple[str | None, int | None]]:
    """Return class name → (its parent, its exit code), as drawn at the top of errors.py."""
    found: dict[str, tuple[str | None, int | None]] = {}
    above: list[tuple[int, str]] = []
    assert errors.__doc__ is not None
    for line in errors.__doc__.split("\n\n")[1].splitlines():
        match = _LINE.match(line)
        assert match is not None, line
        depth, name, code = len(match[1]), match[2], match[3]
        while above and above[-1][0] >= depth:
            above.pop()
        parent = above[-1][1] if above else None
        inherited = found[parent][1] if parent else None
        found[name] = (parent, int(code) if code else inherited)
        above.append((depth, name))
    return found


def test_the_tree_names_every_class_below_its_base():
    drawn = {name: parent for name, (parent, _) in tree().items()}

    assert drawn == {
        cls.__name__: None if cls is errors.LocalembedError else cls.__bases__[0].__name__
        for cls in CLASSES
    }


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_the_tree_has_the_exit_code_of_a_class(cls):
    if cls is errors.LocalembedError:
        assert cls.exit_code == 70
    else:
        assert cls.exit_code == tree()[cls.__name__][1]
        assert cls.exit_code in DOCUMENTED_CODES


def test_an_unreadable_input_does_not_end_a_command():
    assert not issubclass(errors.ReadError, errors.LocalembedError)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_the_command_line_turns_an_error_into_its_code_and_a_sentence(cls, tmp_path):
    code = (
        "import sys\n"
        "from localembed import errors\n"
        "error = getattr(errors, sys.argv.pop())('What to do next.')\n"
        "from localembed.cli import main, status\n"
        "def fail(**_):\n"
        "    raise error\n"
        "status.status.callback = fail\n"
        "main.main()\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", code, "status", cls.__name__],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stdout) == (cls.exit_code, "")
    assert done.stderr == "Error: What to do next.\n"
