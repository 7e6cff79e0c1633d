"""What is looked at, and what is found."""

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
    """A workspace and how closely it is looked at."""

    layout: Layout
    settings: Settings
    roots: Mapping[str, bytes]
    """root_id → absolute path."""
    deep: bool
    """Read everything, not only a sample."""
    busy: bool
    """Whether a run is going on: what it has not published yet is nobody's fault."""
    head: Head = field(default_factory=Head)

    @property
    def repair(self) -> str:
        """The command that fixes what was found: what only reading everything shows needs it."""
        return "localembed doctor --deep --repair" if self.deep else REPAIR


def ok(check: str, text: str) -> Finding:
    """Return a finding that all is well."""
    return Finding(check, "ok", text)


def note(check: str, text: str, fix: str = "", paths: tuple[str, ...] = ()) -> Finding:
    """Return a finding that is worth knowing and harms nobody."""
    return Finding(check, "note", text, fix, paths)


def wrong(check: str, text: str, fix: str = "", paths: tuple[str, ...] = ()) -> Finding:
    """Return a finding that has to be fixed."""
    return Finding(check, "wrong", text, fix, paths)
