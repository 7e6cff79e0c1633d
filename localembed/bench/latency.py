"""How long a query takes: a new process each time, and in one that stays."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from localembed.core.processes import environment, python
from localembed.errors import StorageError
from localembed.workspace.workspace import Workspace

_COLD, _WARM = 3, 10
_QUERY = "how does this work"


@dataclass(frozen=True, slots=True)
class QueryLatency:
    """Seconds of a query."""

    cold: tuple[float, ...]
    """Whole processes, the interpreter's start included."""
    warm: tuple[float, ...]
    """In this process, model and table loaded before."""

    @property
    def medians(self) -> tuple[float, float]:
        """The medians of both."""
        return float(np.median(self.cold)), float(np.median(self.warm))


def measure_queries(workspace: Workspace) -> QueryLatency:
    """Ask the same in new processes and in this one.

    Raises:
        NotIndexedError: there is nothing to search.
        StorageError: a process could not answer.
    """
    workspace.query(_QUERY)
    warm = [_seconds(lambda: workspace.query(_QUERY)) for _ in range(_WARM)]
    folder = str(workspace.folder)
    command = python("localembed", "query", _QUERY, "-q", "--workspace", folder)
    command.append("--no-resident")
    cold = [_seconds(lambda: _answer(command)) for _ in range(_COLD)]
    return QueryLatency(tuple(cold), tuple(warm))


def _answer(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment())
    if done.returncode not in (0, 1):
        raise StorageError(done.stderr.strip() or f"the query ended with {done.returncode}")


def _seconds(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin
