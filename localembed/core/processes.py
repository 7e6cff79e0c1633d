"""Commands that start this program's own modules in child processes."""

from __future__ import annotations

import os
import sys


def python(module: str, *arguments: str) -> list[str]:
    """Return the command that runs one of this program's modules with the same flags.

    Python would search the current folder for modules first, but that folder contains documents: a
    `random.py` among them must not be run (-P).
    """
    flags = {
        "-I": sys.flags.isolated,
        "-E": sys.flags.ignore_environment,
        "-s": sys.flags.no_user_site,
    }
    inherited = [flag for flag, is_set in flags.items() if is_set]
    return [sys.executable, "-P", *inherited, "-m", module, *arguments]


def environment() -> dict[str, str]:
    """Return a child's environment variables, with this process's module search path."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
