"""Who could change a folder: owners, modes and links, by `lstat` alone and without a slow import.

POSIX only: on Windows every file has owner 0 and no mode, so only links are seen.
"""

from __future__ import annotations

import os
import stat

from localembed.core.workspace_folder import FOLDER_NAME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

_HAS_OWNERS = hasattr(os, "geteuid")
_ROOT = 0
_OVERFLOW_USER = "/proc/sys/kernel/overflowuid"
_USER_MAP = "/proc/self/uid_map"
_ACCESS_LIST = "system.posix_acl_access"


def objection(workspace: str, start: str) -> str | None:
    """Return why a workspace found from a folder could be another user's, None if it cannot.

    The workspace and every folder through which it could be replaced must belong to this user or
    root, and no other user may write them. In a sticky folder such as /tmp others can replace only
    what is theirs, so it may be writable.

    Args:
        workspace: absolute path of the workspace.
        start: absolute path of the folder in which the search began.
    """
    folder = workspace
    try:
        status = os.lstat(workspace)
        if not stat.S_ISDIR(status.st_mode):
            return f"{workspace} is a link"
        if not _HAS_OWNERS:
            return None
        users = {os.geteuid(), _ROOT}
        reason = _changeable(workspace, status, users)
        if reason := f"{workspace} {reason}" if reason else _writable_entry(workspace, status):
            return reason
        parent = os.path.dirname(workspace)
        for folder in _upwards(start):
            status = os.lstat(folder)
            is_above = len(folder) < len(parent)
            if is_above and status.st_uid not in users:
                users |= _unmapped_users()
            if reason := _changeable(folder, status, users, sticky=True):
                return f"{folder} {reason}"
    except OSError as error:
        return f"{folder} cannot be examined: {error.strerror}"
    return None


def foreign_owner(path: str) -> str | None:
    """Return what is wrong with the owner of a file or folder, None if it is this user or root.

    Raises:
        OSError: it cannot be examined.
    """
    owner = os.lstat(path).st_uid
    if not _HAS_OWNERS or owner in (os.geteuid(), _ROOT):
        return None
    return f"belongs to another user (uid {owner})"


def foreign_entry(folder: str, *, deep: bool) -> str | None:
    """Return what in a workspace leads elsewhere, is a device or another user's; None if nothing.

    What is there may belong to this user, root, or the owner of the workspace.

    Args:
        folder: the workspace; what it contains is examined at every depth.
        deep: examine owners as well, which takes an `lstat` for each entry.

    Raises:
        OSError: a folder cannot be examined.
    """
    if os.path.basename(folder) == FOLDER_NAME and os.path.islink(folder):
        return f"{folder} is a link"
    status = os.stat(folder)
    owners = {os.geteuid(), _ROOT, status.st_uid} if _HAS_OWNERS else set()
    for entry in _entries(folder):
        if not entry.is_dir(follow_symlinks=False) and not entry.is_file(follow_symlinks=False):
            if entry.is_symlink() and not os.path.exists(entry.path):
                continue  # it leads nowhere: damage, which is set aside
            return f"{entry.path} is a link or a device"
        found = _status(entry) if deep and _HAS_OWNERS else None
        if found is not None and found.st_uid not in owners:
            return f"{entry.path} belongs to another user (uid {found.st_uid})"
    return None


def _writable_entry(workspace: str, status: os.stat_result) -> str | None:
    """Return what in a workspace another user could change, None if there is nothing.

    In a folder that others cannot enter, everything may have any mode.
    """
    if not status.st_mode & (stat.S_IXGRP | stat.S_IXOTH):
        return None
    owners = {os.geteuid(), _ROOT}
    for entry in _entries(workspace):
        found = _status(entry)
        if found is not None and (reason := _changeable(entry.path, found, owners)):
            return f"{entry.path} {reason}"
    return None


def _status(entry: os.DirEntry[str]) -> os.stat_result | None:
    """Return the `lstat` of an entry, None if it is gone: a run in progress replaces files."""
    try:
        return entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None


def _entries(folder: str) -> Iterator[os.DirEntry[str]]:
    """Yield everything in a folder, at every depth, without following a link."""
    pending = [folder]
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    yield entry
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
        except FileNotFoundError:  # a run in progress replaces files
            continue


def _changeable(
    path: str, status: os.stat_result, owners: Collection[int], *, sticky: bool = False
) -> str | None:
    """Return how another user could change a file or folder.

    Args:
        path: its path.
        status: its `lstat`.
        owners: users who may own it.
        sticky: whether it may be writable by others if it is sticky.
    """
    if status.st_uid not in owners:
        return f"belongs to another user (uid {status.st_uid})"
    if sticky and status.st_mode & stat.S_ISVTX:
        return None
    group = status.st_mode & stat.S_IWGRP and (
        not _is_private_group(status.st_gid) or _has_access_list(path)
    )
    if status.st_mode & stat.S_IWOTH or group:
        return f"can be written by other users (mode {stat.S_IMODE(status.st_mode):04o})"
    return None


def _has_access_list(path: str) -> bool:
    """Tell whether a list names users with rights, which the mode shows as those of the group."""
    if not hasattr(os, "getxattr"):
        return False
    try:
        os.getxattr(path, _ACCESS_LIST, follow_symlinks=False)
    except OSError:
        return False
    return True


def _is_private_group(group: int) -> bool:
    """Tell whether a group is this user's own, which many systems give to every user.

    Their folders are writable by that group, because the default umask is 002.
    """
    if group == _ROOT:
        return False
    import grp
    import pwd

    try:
        user, found = pwd.getpwuid(os.geteuid()), grp.getgrgid(group)
    except KeyError:
        return False
    is_own = found.gr_name == user.pw_name and group == user.pw_gid
    return is_own and set(found.gr_mem) <= {user.pw_name}


def _unmapped_users() -> set[int]:
    """Return the user that stands for all users outside of this process's user namespace.

    Inside of one, root's own folders, such as `/`, seem to belong to it.
    """
    try:
        with open(_USER_MAP, encoding="ascii") as file:
            ranges = [tuple(map(int, line.split())) for line in file]
        with open(_OVERFLOW_USER, encoding="ascii") as file:
            overflow = int(file.read())
    except (OSError, ValueError):
        return set()
    is_mapped = any(first <= overflow < first + count for first, _, count in ranges)
    return set() if is_mapped else {overflow}


def _upwards(folder: str) -> list[str]:
    """Return a folder and all of its parents."""
    found = [folder]
    while (above := os.path.dirname(found[-1])) != found[-1]:
        found.append(above)
    return found
