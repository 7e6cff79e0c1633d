"""What a repository of git says about ignored files outside of its working tree."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from localembed.sources.git_config import GitDir, git_settings
from localembed.sources.open_file import read_rules

_MAX_POINTER_BYTES = 1 << 16
_HEAD = re.compile(rb"ref:\s*refs/|[0-9a-fA-F]{40}")


@dataclass(frozen=True, slots=True)
class Repository:
    """The highest folder of a working tree, and git's rules for it."""

    info_exclude: bytes
    """Path of the repository's own exclude file, which all its worktrees share."""
    excludes_file: bytes
    """Path of the user's exclude file; empty if there is none."""
    ignore_case: bool


def repository_at(folder: bytes) -> Repository | None:
    """Return the repository whose working tree begins in a folder, None if none does.

    As for git, a `.git` that is neither a repository nor leads to one does not count.
    """
    git_dir = _git_dir(os.path.join(folder, b".git"))  # noqa: PTH118 - bytes
    if git_dir is None:
        return None
    settings = git_settings(git_dir, os.fsdecode(folder))
    return Repository(
        os.path.join(os.fsencode(git_dir.common), b"info", b"exclude"),  # noqa: PTH118
        os.fsencode(settings.excludes_file),
        settings.ignore_case,
    )


def repository_above(folder: bytes) -> bytes | None:
    """Return the highest folder of the working tree that contains a folder, None if none does."""
    while _git_dir(os.path.join(folder, b".git")) is None:  # noqa: PTH118 - bytes
        parent = os.path.dirname(folder)  # noqa: PTH120
        if parent == folder:
            return None
        folder = parent
    return folder


def _git_dir(path: bytes) -> GitDir | None:
    """Return where `.git` leads: to itself, or elsewhere from a submodule or linked worktree."""
    pointer = read_rules(path, _MAX_POINTER_BYTES, follow_links=True)
    if pointer is not None:
        if not pointer.startswith(b"gitdir: "):
            return None
        place = pointer.removeprefix(b"gitdir: ").rstrip(b"\r\n").partition(b"\0")[0]
        path = os.path.join(os.path.dirname(path), place)  # noqa: PTH118, PTH120
    common = path
    shared = read_rules(os.path.join(path, b"commondir"), _MAX_POINTER_BYTES, follow_links=True)  # noqa: PTH118
    if shared is not None:
        place = shared.rstrip(b"\r\n").partition(b"\0")[0]
        common = os.path.join(path, place)  # noqa: PTH118
    if not (_is_head(os.path.join(path, b"HEAD")) and _has_folders(common)):  # noqa: PTH118
        return None
    return GitDir(os.fsdecode(path), os.fsdecode(common))


def _is_head(path: bytes) -> bool:
    try:
        if os.path.islink(path):  # noqa: PTH114
            return os.readlink(path).startswith(b"refs/")  # noqa: PTH115
    except OSError:
        return False
    head = read_rules(path, 256, follow_links=True)
    return head is not None and _HEAD.match(head) is not None


def _has_folders(common: bytes) -> bool:
    return all(os.access(os.path.join(common, name), os.X_OK) for name in (b"objects", b"refs"))  # noqa: PTH118
