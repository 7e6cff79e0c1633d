"""Walk one root: find every regular file that no rule ignores, and a reason for each other entry.

Paths are bytes throughout, so names that are not valid UTF-8 work. Symbolic links are not followed,
and only folders and ignore files are opened; the content of documents is read later.
"""

from __future__ import annotations

import os
import stat as stat_bits
from collections.abc import Iterator
from dataclasses import dataclass, field

from localembed.core import hashing
from localembed.sources.ignore import NEVER_ENTERED, IgnoreRules, glob_rules, no_documents
from localembed.sources.ignore_file import IgnoreFile, rule_path
from localembed.types.documents import FileStat, Note, Root, SourceFile


@dataclass(frozen=True, slots=True)
class WalkRules:
    """Limits that apply to every root."""

    max_file_bytes: int


@dataclass(frozen=True, slots=True)
class Walk:
    """The result of walking one scope of a root."""

    root: Root
    scope: bytes
    """Path that was walked, relative to the root; empty for the whole root."""
    identity: tuple[int, int] | None = None
    """Device and inode of the root; None if it does not exist."""
    missing: bool = False
    """Whether the scope does not exist or its top cannot be listed."""
    files: list[SourceFile] = field(default_factory=list)
    skipped: list[Note] = field(default_factory=list)
    failures: list[Note] = field(default_factory=list)
    unread: list[bytes] = field(default_factory=list)
    """Paths that could not be listed or examined, so that their content is unknown."""

    def covers(self, path: bytes) -> bool:
        """Tell whether the walk would have found a file with this relative path if it existed."""
        if self.scope and path != self.scope and not path.startswith(self.scope + b"/"):
            return False
        return not any(path == unread or path.startswith(unread + b"/") for unread in self.unread)


@dataclass(frozen=True, slots=True)
class _Folder:
    absolute: bytes
    relative: bytes
    rules: IgnoreRules


def walk(root: Root, rules: WalkRules, scope: bytes = b"") -> Walk:
    """Return all entries below `scope` of a root, sorted by name."""
    top = os.path.join(root.path, scope) if scope else root.path  # noqa: PTH118
    stats = _stats(root, top, scope)
    if stats is None:
        return Walk(root, scope, missing=True)
    root_status, status = stats
    found = Walk(root, scope, (root_status.st_dev, root_status.st_ino))
    includes = glob_rules(root.include) if root.include else None
    is_file = not stat_bits.S_ISDIR(status.st_mode)
    if is_file and not scope:
        _take_file(found, rules, top, scope, status)
        return found
    try:
        ignore = _rules_above(found, is_file=is_file)
        if ignore is None:
            return found
        if is_file:
            if includes is None or includes.verdict(rule_path(scope)):
                skips_noise = ignore.skips_noise(scope)
                _take_file(found, rules, top, scope, status, skips_noise=skips_noise)
            return found
        start = _Folder(top, scope, ignore)
        entries = _scan(start)
    except OSError:
        return Walk(root, scope, missing=True)
    if _holds_documents(found, start, entries, named=not scope):
        _walk_folders(found, rules, includes, start, entries)
    return found


def _stats(root: Root, top: bytes, scope: bytes) -> tuple[os.stat_result, os.stat_result] | None:
    """Return the stat of a root and of where the walk begins.

    None if one is not there, or the root is of another machine.
    """
    try:
        if root.elsewhere:
            return None
        status = os.stat(root.path)  # noqa: PTH116 - paths are bytes
        return status, os.lstat(top) if scope else status
    except OSError:
        return None


def _rules_above(found: Walk, *, is_file: bool) -> IgnoreRules | None:
    """Return the rules that apply where the walk begins, None if they ignore its scope."""
    root = found.root
    rules = IgnoreRules.for_root(
        root.path, exclude=root.exclude, hidden=root.hidden, enabled=not root.no_ignore
    )
    absolute, relative = root.path, b""
    parts = [part for part in found.scope.split(b"/") if part]
    for depth, part in enumerate(parts, start=1):
        names = frozenset(os.listdir(absolute))  # noqa: PTH208 - paths are bytes
        rules = rules.entered(absolute, _prefix(relative), names)
        strict = rules.enabled and depth > 1
        reason = no_documents(absolute, names, ignore=strict)
        absolute = os.path.join(absolute, part)  # noqa: PTH118
        relative = _prefix(relative) + part
        is_folder = depth < len(parts) or not is_file
        reason = reason or _reason_of_part(root, rules, absolute, relative, is_folder=is_folder)
        if reason is not None:
            found.skipped.append(Note(absolute + (b"/" if is_folder else b""), reason))
            return None
    return rules


def _reason_of_part(
    root: Root, rules: IgnoreRules, absolute: bytes, relative: bytes, *, is_folder: bool
) -> str | None:
    """Return why a scope is skipped because of one part of its path, None if it is not."""
    if relative.rpartition(b"/")[2] in NEVER_ENTERED:
        return "version control or workspace"
    if is_folder and os.path.islink(absolute):  # noqa: PTH114 - paths are bytes
        return "symbolic link"
    return _reason(root, rules, relative, is_folder=is_folder)


def _reason(root: Root, rules: IgnoreRules, path: bytes, *, is_folder: bool) -> str | None:
    """Return why an entry is skipped, None if it is not."""
    if path in root.removed:
        return "removed with localembed rm; localembed index takes it back by its name"
    return rules.reason(path, is_folder=is_folder)


def _prefix(relative: bytes) -> bytes:
    return relative + b"/" if relative else b""


def _scan(folder: _Folder) -> list[os.DirEntry[bytes]]:
    with os.scandir(folder.absolute) as entries:
        return sorted(entries, key=lambda entry: entry.name)


def _walk_folders(
    found: Walk,
    limits: WalkRules,
    includes: IgnoreFile | None,
    start: _Folder,
    entries: list[os.DirEntry[bytes]],
) -> None:
    """Visit folders depth first, without recursion, so that nesting is not limited."""
    pending: list[_Folder] = []
    folder: _Folder | None = start
    while folder is not None:
        names = frozenset(entry.name for entry in entries)
        rules = folder.rules.entered(folder.absolute, _prefix(folder.relative), names)
        below: list[_Folder] = []
        for entry, path in _admitted(found, folder, rules, entries):
            if entry.is_dir(follow_symlinks=False):
                below.append(_Folder(entry.path, path, rules))
            elif includes is None or includes.verdict(rule_path(path)):
                _take_entry(found, limits, entry, path, rules)
        pending += reversed(below)
        folder, entries = _next_folder(found, pending)


def _next_folder(
    found: Walk, pending: list[_Folder]
) -> tuple[_Folder | None, list[os.DirEntry[bytes]]]:
    """Return the next folder that can be listed and is not skipped, with its entries."""
    while pending:
        folder = pending.pop()
        try:
            entries = _scan(folder)
        except FileNotFoundError:
            continue
        except OSError as error:
            found.failures.append(Note(folder.absolute, f"cannot be listed: {error.strerror}"))
            found.unread.append(folder.relative)
            continue
        if _holds_documents(found, folder, entries):
            return folder, entries
    return None, []


def _holds_documents(
    found: Walk, folder: _Folder, entries: list[os.DirEntry[bytes]], *, named: bool = False
) -> bool:
    """Tell whether to walk a folder.

    Args:
        found: notes a folder that is skipped.
        folder: the folder.
        entries: its entries.
        named: whether the user named it as a root.
    """
    names = frozenset(entry.name for entry in entries)
    reason = no_documents(folder.absolute, names, ignore=folder.rules.enabled and not named)
    if reason is not None:
        found.skipped.append(Note(folder.absolute + b"/", reason))
    return reason is None


def _admitted(
    found: Walk, folder: _Folder, rules: IgnoreRules, entries: list[os.DirEntry[bytes]]
) -> Iterator[tuple[os.DirEntry[bytes], bytes]]:
    """Yield the entries that no rule ignores, with their paths relative to the root."""
    for entry in entries:
        if entry.name in NEVER_ENTERED:
            continue
        path = _prefix(folder.relative) + entry.name
        is_folder = entry.is_dir(follow_symlinks=False)
        reason = _reason(found.root, rules, path, is_folder=is_folder)
        if reason is None:
            yield entry, path
        else:
            found.skipped.append(Note(entry.path + (b"/" if is_folder else b""), reason))


def _take_entry(
    found: Walk, limits: WalkRules, entry: os.DirEntry[bytes], path: bytes, rules: IgnoreRules
) -> None:
    try:
        status = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return
    except OSError as error:
        found.failures.append(Note(entry.path, f"cannot be examined: {error.strerror}"))
        found.unread.append(path)
        return
    _take_file(found, limits, entry.path, path, status, skips_noise=rules.skips_noise(path))


def _take_file(
    found: Walk,
    limits: WalkRules,
    absolute: bytes,
    path: bytes,
    status: os.stat_result,
    *,
    skips_noise: bool = False,
) -> None:
    reason = _skip_reason(status, limits)
    if reason is not None:
        found.skipped.append(Note(absolute, reason))
        return
    root_id = found.root.root_id
    found.files.append(
        SourceFile(
            root_id=root_id,
            root_path=found.root.path,
            path=path,
            stat=FileStat.of(status),
            doc_id=hashing.document_id(root_id, path),
            root_identity=found.identity if path else None,
            skips_noise=skips_noise,
        )
    )


def _skip_reason(status: os.stat_result, limits: WalkRules) -> str | None:
    """Return why an entry is skipped because of its inode, None if it is not."""
    kind = stat_bits.S_IFMT(status.st_mode)
    if kind != stat_bits.S_IFREG:
        return _KINDS.get(kind, "not a regular file")
    if status.st_size == 0:
        return "empty"
    if status.st_size > limits.max_file_bytes:
        limit = limits.max_file_bytes / 2**20
        return f"over-size ({status.st_size / 2**20:.1f} MiB, the limit is {limit:g} MiB)"
    return None


_KINDS = {
    stat_bits.S_IFLNK: "symbolic link",
    stat_bits.S_IFIFO: "FIFO",
    stat_bits.S_IFSOCK: "socket",
    stat_bits.S_IFCHR: "device",
    stat_bits.S_IFBLK: "device",
}
