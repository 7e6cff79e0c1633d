"""What a checkup of a workspace finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "note", "wrong"]


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check."""

    check: str
    verdict: Verdict
    text: str
    """One line."""
    fix: str = ""
    """The command that fixes it."""
    paths: tuple[str, ...] = ()
    """Documents or files that it is about, for display."""


@dataclass(frozen=True, slots=True)
class Checkup:
    """Everything that was found, and what was fixed before."""

    findings: tuple[Finding, ...]
    fixed: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """The worst of all."""
        found = {finding.verdict for finding in self.findings}
        return next((v for v in ("wrong", "note") if v in found), "ok")
