"""Where the workspace of a command lies; it imports nothing that takes time."""

from __future__ import annotations

import os

FOLDER_NAME = ".localembed"
"""Of the workspace inside a folder that has one."""
_MARKS = ("config.toml", "head.json")


def is_workspace(folder: str) -> bool:
    """Tell whether a workspace lies in this folder."""
    return any(os.path.isfile(os.path.join(folder, name)) for name in _MARKS)


def find_workspace() -> str | None:
    """Return the workspace folder as git finds a repository, None for the user-wide one.

    `LOCALEMBED_WORKSPACE` names the folder itself and wins.
    """
    named = os.environ.get("LOCALEMBED_WORKSPACE")
    if named:
        return os.path.abspath(os.path.expanduser(named))
    folder = os.getcwd()
    while True:
        candidate = os.path.join(folder, FOLDER_NAME)
        if is_workspace(candidate):
            return candidate
        above = os.path.dirname(folder)
        if above == folder:
            return None
        folder = above
