"""How this program starts itself again, for work that is better done in a process of its own."""

from __future__ import annotations

import os
import sys


def python(module: str, *arguments: str) -> list[str]:
    """Return the command that runs one of this program's modules, as this one runs.

    Python would look for modules in the current folder first, and that holds documents: a
    `random.py` among them must not be run (-P).
    """
    given = {
        "-I": sys.flags.isolated,
        "-E": sys.flags.ignore_environment,
        "-s": sys.flags.no_user_site,
    }
    told = [flag for flag, is_set in given.items() if is_set]
    return [sys.executable, "-P", *told, "-m", module, *arguments]


def environment() -> dict[str, str]:
    """Return the variables for it: it finds its modules where this one does."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
