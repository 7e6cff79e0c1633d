"""The paths of a workspace's files."""

from __future__ import annotations

import contextlib
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from localembed.core.workspace_folder import is_workspace
from localembed.errors import StorageError
from localembed.store.lance.disk_names import TABLE_SUFFIX

FORMAT = 1
"""Version of the format on disk; raise it when an older localembed cannot read the data."""


_TABLE = re.compile(r"chunks_[0-9a-f]{12}")


def is_table_name(name: object) -> bool:
    """Tell whether a table of ours may have this name: one from a file could be any path."""
    return isinstance(name, str) and _TABLE.fullmatch(name) is not None


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
    def gitignore(self) -> Path:
        """Rule that keeps the workspace out of git."""
        return self.folder / ".gitignore"

    @property
    def lock(self) -> Path:
        """Writer lock."""
        return self.folder / "writer.lock"

    @property
    def head(self) -> Path:
        """Tables and versions that readers open."""
        return self.folder / "head.json"

    @property
    def heartbeat(self) -> Path:
        """Heartbeat of the current or the last run."""
        return self.folder / "run.json"

    @property
    def runs(self) -> Path:
        """Records of runs."""
        return self.folder / "runs"

    @property
    def tags(self) -> Path:
        """Names of versions."""
        return self.runs / "tags.json"

    @property
    def manifest(self) -> Path:
        """State of source files."""
        return self.folder / "manifest.duckdb"

    def failures(self, table: str) -> Path:
        """Return the path of the list of a table's passages without a vector.

        Raises:
            StorageError: no table of ours has that name.
        """
        self._check_table_name(table)
        return self.folder / f"failures-{table}.json"

    def missing(self, table: str) -> Path:
        """Return the path of the list of files that runs found missing."""
        return self.folder / f"missing-{table}.json"

    @property
    def calibrations(self) -> Path:
        """Weights for the confidence of hits, fitted to questions of the user's own."""
        return self.folder / "calibrations.json"

    @property
    def pending(self) -> Path:
        """Vectors that no table has yet."""
        return self.folder / "pending"

    @property
    def vectors(self) -> Path:
        """Lance tables."""
        return self.folder / "vectors"

    @property
    def damaged(self) -> Path:
        """Damaged files that were set aside."""
        return self.folder / "damaged"

    def table(self, name: str) -> Path:
        """Return the folder of one Lance table.

        Raises:
            StorageError: no table of ours has that name, which could lead out of the workspace.
        """
        self._check_table_name(name)
        return self.vectors / f"{name}{TABLE_SUFFIX}"

    def _check_table_name(self, name: str) -> None:
        if not is_table_name(name):
            message = (
                f"{name!r} in {self.folder} is no table of localembed. Run: localembed doctor "
                "--repair"
            )
            raise StorageError(message)

    def exists(self) -> bool:
        """Tell whether the folder is a workspace."""
        return is_workspace(str(self.folder))

    def pending_bytes(self) -> int:
        """Return the size of the answers of remote models that no table has yet."""
        return _size_of_files(self.pending)

    def disk_bytes(self) -> int:
        """Return the total size of the workspace's files."""
        return _size_of_files(self.folder)


def _size_of_files(folder: Path) -> int:
    size = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # a run in progress replaces files
            status = path.lstat()
            size += status.st_size if stat.S_ISREG(status.st_mode) else 0
    return size
