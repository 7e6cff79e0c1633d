"""Which code this is: a resident that runs another must not answer."""

from __future__ import annotations

import os
import sys


def fingerprint() -> str:
    """Return what changes with the interpreter, its packages' place, or any file of this package.

    One stat a file, under a millisecond in all.
    """
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    newest = count = 0
    pending = [package]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.name.endswith(".py"):
                    newest = max(newest, entry.stat().st_mtime_ns)
                    count += 1
                elif "." not in entry.name and entry.name != "__pycache__" and entry.is_dir():
                    pending.append(entry.path)
    return f"{sys.executable} {sys.version_info[:3]} {package} {count} {newest}"
