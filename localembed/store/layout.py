"""Where everything of a workspace lies."""

from __future__ import annotations

import contextlib
import stat
from dataclasses import dataclass
from pathlib import Path

from localembed.core.workspace_folder import is_workspace
from localembed.store.lance.disk_names import TABLE_SUFFIX

FORMAT = 1
"""Raise it when what lies on disk cannot be read by an older localembed."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths inside one workspace folder."""

    folder: Path

    @property
    def config(self) -> Path:
        """Settings and roots."""
        return self.folder / "config.toml"

    @property
    def models(self) -> Path:
        """The user's own model specs."""
        return self.folder / "models.toml"

    @property
    def lock(self) -> Path:
        """One writer at a time."""
        return self.folder / "writer.lock"

    @property
    def head(self) -> Path:
        """What readers open."""
        return self.folder / "head.json"

    @property
    def heartbeat(self) -> Path:
        """The running or the last run."""
        return self.folder / "run.json"

    @property
    def runs(self) -> Path:
        """What each run did."""
        return self.folder / "runs"

    @property
    def tags(self) -> Path:
        """Names of versions."""
        return self.runs / "tags.json"

    @property
    def manifest(self) -> Path:
        """What was seen of files."""
        return self.folder / "manifest.duckdb"

    def failures(self, table: str) -> Path:
        """Return the list of a table's passages without a vector."""
        return self.folder / f"failures-{table}.json"

    @property
    def pending(self) -> Path:
        """Answers of a remote model that no table has yet."""
        return self.folder / "pending"

    @property
    def vectors(self) -> Path:
        """The chunks."""
        return self.folder / "vectors"

    @property
    def damaged(self) -> Path:
        """What was found broken and moved out of the way."""
        return self.folder / "damaged"

    def table(self, name: str) -> Path:
        """Return the folder of one Lance table."""
        return self.vectors / f"{name}{TABLE_SUFFIX}"

    def exists(self) -> bool:
        """Tell whether a workspace lies here."""
        return is_workspace(str(self.folder))

    def pending_bytes(self) -> int:
        """Return the size of the answers of remote models that no table has yet."""
        return _size_of_files(self.pending)

    def disk_bytes(self) -> int:
        """Return the size of all its files."""
        return _size_of_files(self.folder)


def _size_of_files(folder: Path) -> int:
    size = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # a running index replaces files
            status = path.lstat()
            size += status.st_size if stat.S_ISREG(status.st_mode) else 0
    return size
