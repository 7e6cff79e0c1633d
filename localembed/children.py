"""How this program starts itself again, for work that is better done in a process of its own."""

from __future__ import annotations

import sys


def python(module: str, *arguments: str) -> list[str]:
    """Return the command that runs one of this program's modules.

    Python would look for modules in the current folder first, and that holds documents: a
    `random.py` among them must not be run (-P).
    """
    return [sys.executable, "-P", "-m", module, *arguments]
