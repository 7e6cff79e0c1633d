"""What a workspace reaches outside of its own parent folder, and what the user allowed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

Reached = Literal["workspace", "root", "hidden", "no_ignore", "model"]
REACHED: tuple[Reached, ...] = get_args(Reached)


@dataclass(frozen=True, slots=True)
class Permission:
    """One thing outside of a workspace that it may use."""

    kind: Reached
    """`workspace`: the folder itself, though other users could change it; `root`: a folder to
    index; `hidden` and `no_ignore`: the hidden and the ignored files in one; `model`: a remote
    model, which gets text."""
    value: str
    """Path, or name of a model."""

    @property
    def rank(self) -> tuple[int, str]:
        """Key by which permissions are sorted: the widest first."""
        return REACHED.index(self.kind), self.value


@dataclass(frozen=True, slots=True)
class TrustedWorkspace:
    """A workspace with what the user allowed it."""

    folder: Path
    """Workspace folder."""
    workspace_id: str
    """Random id in its config.toml, empty if it has none."""
    owner: int
    """User ID of the folder's owner."""
    device: int
    """Device number of the folder."""
    inode: int
    """Inode of the folder."""
    permissions: tuple[Permission, ...]
    is_installed: bool = False
    """Whether it came from a bundle, so that its roots are another machine's."""
