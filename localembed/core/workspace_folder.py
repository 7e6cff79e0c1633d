"""Find the workspace of a command, without any slow import."""

from __future__ import annotations

import os

FOLDER_NAME = ".localembed"
"""Name of the workspace inside a folder that has one."""
VARIABLE = "LOCALEMBED_WORKSPACE"
"""Variable that names the workspace itself."""
_MARKS = ("config.toml", "head.json")


def is_workspace(folder: str) -> bool:
    """Return whether this folder is a workspace."""
    return any(os.path.isfile(os.path.join(folder, name)) for name in _MARKS)


def named_workspace() -> str | None:
    """Return the workspace folder that `LOCALEMBED_WORKSPACE` names, None if it is not set."""
    named = os.environ.get(VARIABLE)
    return os.path.abspath(os.path.expanduser(named)) if named else None


def find_workspace(start: str) -> str | None:
    """Search for a workspace as git does for a repository; return None if there is none.

    What was found may be another user's (see `ownership.objection`).

    Args:
        start: absolute path of the folder in which the search begins.
    """
    folder = start
    while True:
        candidate = os.path.join(folder, FOLDER_NAME)
        if is_workspace(candidate):
            return candidate
        above = os.path.dirname(folder)
        if above == folder:
            return None
        folder = above
