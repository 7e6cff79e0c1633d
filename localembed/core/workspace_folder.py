"""Find the workspace of a command, without any slow import."""

from __future__ import annotations

import os

FOLDER_NAME = ".localembed"
"""Name of the workspace inside a folder that has one."""
_MARKS = ("config.toml", "head.json")


def is_workspace(folder: str) -> bool:
    """Return whether this folder is a workspace."""
    return any(os.path.isfile(os.path.join(folder, name)) for name in _MARKS)


def find_workspace() -> str | None:
    """Search for a workspace as git does for a repository; return None for the user-wide one.

    `LOCALEMBED_WORKSPACE` names the folder itself and takes precedence.
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
