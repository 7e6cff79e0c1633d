"""Roots whose documents are stored although config.toml does not list them, and their folders.

A root is lost when its block was edited out of config.toml, or the whole file was. Its rows are
kept, but not shown. A folder continues a lost root if at least half of the root's documents (of a
sample of 100) lie in it at the same relative path, with the same content or as the same file. It
continues a root whose folder is missing only if they are the same files: moved, not copied.
The rows of a lost root whose files are in another root by now are removed by the next run.
"""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence

from localembed.core.text import counted
from localembed.errors import ReadError
from localembed.sources import read_file
from localembed.store.head import read_head
from localembed.store.layout import Layout
from localembed.store.root_documents import documents_of
from localembed.types.documents import FileRecord, FileStat, Root
from localembed.workspace import config_file

_MAX_BYTES = 64 << 20
"""Maximum size of a file that is read to compare it."""
_MAX_FOLDERS = 5_000
"""Maximum folders of a root that are searched for the folder of a lost one."""
_FIRST = 3
"""Number of documents of which one must be in a folder for the others to be looked for."""


def lost_roots(layout: Layout) -> dict[str, int]:
    """Return root_id → number of documents, of the stored roots that config.toml does not list."""
    known = {root.root_id for root in config_file.read_roots(layout)}
    known |= config_file.read_forgotten(layout)
    found: dict[str, int] = {}
    for entry in read_head(layout).tables.values():
        for root_id in entry.roots.keys() - known:
            found[root_id] = max(found.get(root_id, 0), entry.roots[root_id])
    return found


def lost_notice(root_id: str, documents: int) -> str:
    """Return a sentence about a lost root, with the commands for it."""
    verb = "is" if documents == 1 else "are"
    return (
        f"{counted(documents, 'file')} of a root that config.toml does not list {verb} stored and "
        f"not shown. To continue with it: localembed index FOLDER; to remove it: localembed rm "
        f"{root_id}"
    )


def continued_roots(
    layout: Layout, candidates: Sequence[Root], targets: Collection[bytes]
) -> dict[bytes, Root]:
    """Return target → the root that it continues; targets that continue none are left out.

    Args:
        layout: the workspace.
        candidates: roots without a known folder, or whose folder is missing.
        targets: absolute paths.
    """
    left = {root: documents_of(layout, root.root_id) for root in candidates} if targets else {}
    found: dict[bytes, Root] = {}
    for target in targets:
        equal = {
            root: (count_moved if root.path and not root.elsewhere else count_equal)(target, known)
            for root, known in left.items()
        }
        best = max(equal, key=lambda root: equal[root], default=None)
        if best is not None and equal[best] > 0 and len(left[best]) <= 2 * equal[best]:
            found[target] = best
            del left[best]
    return found


def inner_roots(layout: Layout, root_ids: Iterable[str], tops: Sequence[bytes]) -> set[str]:
    """Return those lost roots whose folder lies in another root now, which has their files, too.

    Args:
        layout: the workspace.
        root_ids: lost roots.
        tops: folders of the other roots.
    """
    found: set[str] = set()
    for root_id in root_ids:
        documents = documents_of(layout, root_id)
        if any(_holds_all(folder, documents) for top in tops for folder in _folders(top)):
            found.add(root_id)
    return found


def _holds_all(folder: bytes, documents: Sequence[FileRecord]) -> bool:
    """Tell whether half of the documents are here as the same files, or all with equal content."""
    if not any(_stat(_place(folder, document)) for document in documents[:_FIRST]):
        return False
    moved = count_moved(folder, documents)
    return len(documents) <= 2 * moved or len(documents) == count_equal(folder, documents)


def _folders(top: bytes) -> Iterator[bytes]:
    """Yield a folder and those below it, the nearest first; not all of a very large tree."""
    pending = deque([top])
    for _ in range(_MAX_FOLDERS):
        if not pending:
            return
        folder = pending.popleft()
        yield folder
        try:
            with os.scandir(folder) as entries:
                inner = [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
        except OSError:
            continue
        pending += sorted(inner)


def count_equal(top: bytes, documents: Sequence[FileRecord]) -> int:
    """Count the documents that lie below a folder, at the path and with the content they had."""
    return sum(_is_there(top, document) for document in documents)


def count_moved(top: bytes, documents: Sequence[FileRecord]) -> int:
    """Count the documents that lie below a folder as the same files, which nothing has changed."""
    return sum(_stat(_place(top, document)) == document.stat for document in documents)


def _place(top: bytes, document: FileRecord) -> bytes:
    return os.path.join(top, document.path) if document.path else top  # noqa: PTH118 - bytes


def _stat(path: bytes) -> FileStat | None:
    """Return the stat of a regular file, None if there is none."""
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return FileStat.of(status) if stat.S_ISREG(status.st_mode) else None


def _is_there(top: bytes, document: FileRecord) -> bool:
    then, now = document.stat, _stat(_place(top, document))
    if now is None or b".." in document.path.split(b"/"):
        return False
    if then.size >= 0 and now.inode == then.inode:
        return True
    if then.size not in (-1, now.size) or now.size > _MAX_BYTES:
        return False
    try:
        return read_file(top, document.path).content_hash == document.content_hash
    except ReadError:
        return False
