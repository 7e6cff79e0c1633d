"""The findings of a checkup of a workspace."""

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
    """The outcome in one line."""
    fix: str = ""
    """Command that fixes the problem."""
    paths: tuple[str, ...] = ()
    """Affected documents or files, for display."""


@dataclass(frozen=True, slots=True)
class Checkup:
    """All findings, and what was fixed before the checks."""

    findings: tuple[Finding, ...]
    fixed: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of all findings."""
        found = {finding.verdict for finding in self.findings}
        return next((v for v in ("wrong", "note") if v in found), "ok")
