"""A workspace behind its gate: where it is, what it indexes, and its settings."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from localembed.errors import NotIndexedError
from localembed.store.layout import Layout
from localembed.types.documents import Root
from localembed.types.limits import DEFAULT_LIMITS, Limits
from localembed.workspace import config_file
from localembed.workspace.gate import Gate
from localembed.workspace.roots import Roots
from localembed.workspace.settings import SETTING_NAMES, Sourced, resolve
from localembed.workspace.value_checks import check_folder, check_settings

NOTHING: Mapping[str, object] = {}


class GuardedWorkspace:
    """The folder of a workspace, read only through its gate."""

    def __init__(
        self,
        folder: str | os.PathLike[str],
        flags: Mapping[str, object] = NOTHING,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        """Set up a workspace; nothing is read yet.

        Args:
            folder: the workspace folder itself.
            flags: settings that override every file and variable.
            limits: sizes and thresholds that no user needs to set.

        Raises:
            UsageError: no workspace can be there, or there is no setting of a name.
        """
        check_folder(folder)
        check_settings(flags, SETTING_NAMES)
        self._layout = Layout(Path(os.fsdecode(folder)))
        self._gate = Gate(self._layout)
        self.limits = limits
        self._flags = dict(flags)
        self._roots = Roots(self._layout)
        self._variables: Mapping[str, str] | None = None
        self._current: str | None = None

    @property
    def folder(self) -> Path:
        """Folder of the workspace."""
        return self._layout.folder

    @property
    def layout(self) -> Layout:
        """Paths inside the workspace, which everything that reads it goes through.

        Raises:
            NotTrustedError: something in it is a link, or it reaches outside of its own folder
                what the user has not allowed.
        """
        self._gate.check()
        return self._layout

    def name_roots(
        self, paths: Sequence[str | os.PathLike[str]], options: Mapping[str, Any] = NOTHING
    ) -> None:
        """Allow roots that the user named; `index` remembers those that it is given.

        Args:
            paths: as for `index`.
            options: as for `index`.
        """
        self._gate.name_roots(paths, options)

    @property
    def settings(self) -> Sourced:
        """Settings in force, with the origin of each."""
        return resolve(self._flags, self.layout, self._variables)

    @property
    def roots(self) -> tuple[Root, ...]:
        """Roots that the workspace indexes."""
        return config_file.read_roots(self.layout)

    @property
    def _root_paths(self) -> dict[str, bytes]:
        return paths_of(self.roots)

    def ensure_exists(self) -> None:
        """Raise an error if there is no workspace.

        Raises:
            NotIndexedError: there is no workspace.
        """
        if not self._layout.exists():
            message = f"There is no workspace at {self.folder} yet. Run: localembed index FOLDER"
            raise NotIndexedError(message)


def paths_of(roots: Sequence[Root]) -> dict[str, bytes]:
    """Return root_id → absolute path."""
    return {root.root_id: root.path for root in roots}
