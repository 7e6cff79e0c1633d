"""The context of a check, and constructors of its findings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from localembed.store.head import Head
from localembed.store.layout import Layout
from localembed.types.findings import Finding
from localembed.workspace.settings import Settings

REPAIR = "localembed doctor --repair"
REFRESH = "localembed index"


@dataclass(frozen=True, slots=True)
class CheckContext:
    """A workspace and how thoroughly to check it."""

    layout: Layout
    settings: Settings
    roots: Mapping[str, bytes]
    """root_id → absolute path."""
    forgotten: frozenset[str]
    """Ids of removed roots, whose documents the next run deletes."""
    lists_roots: bool
    """Whether config.toml is there, so that a root that it does not list was taken out of it."""
    deep: bool
    """Whether to read everything, not only a sample."""
    busy: bool
    """Whether a run is in progress, so that what it has not published yet is no fault."""
    head: Head = field(default_factory=Head)

    @property
    def repair(self) -> str:
        """Command that fixes what was found; with `deep`, a repair must read everything, too."""
        return "localembed doctor --deep --repair" if self.deep else REPAIR


def ok(check: str, text: str) -> Finding:
    """Return a finding that there is no problem."""
    return Finding(check, "ok", text)


def note(check: str, text: str, fix: str = "", paths: tuple[str, ...] = ()) -> Finding:
    """Return a finding that is worth knowing but harmless."""
    return Finding(check, "note", text, fix, paths)


def wrong(check: str, text: str, fix: str = "", paths: tuple[str, ...] = ()) -> Finding:
    """Return a finding that must be fixed."""
    return Finding(check, "wrong", text, fix, paths)
