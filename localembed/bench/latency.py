"""Measure query latency: in new processes, and in one process that stays loaded."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from localembed.core.processes import environment, python
from localembed.errors import StorageError
from localembed.workspace.workspace import Workspace

_COLD_RUNS, _WARM_RUNS = 3, 10
_QUERY = "how does this work"


@dataclass(frozen=True, slots=True)
class QueryLatency:
    """Query times in seconds."""

    cold: tuple[float, ...]
    """Times of whole processes, including the start of the interpreter."""
    warm: tuple[float, ...]
    """Times in this process, with model and table already loaded."""

    @property
    def medians(self) -> tuple[float, float]:
        """Medians of the cold and warm times."""
        return float(np.median(self.cold)), float(np.median(self.warm))


def measure_queries(workspace: Workspace) -> QueryLatency:
    """Run the same query in new processes and in this one.

    Raises:
        NotIndexedError: there is nothing to search.
        StorageError: a query process failed.
    """
    workspace.query(_QUERY)
    warm = [_seconds(lambda: workspace.query(_QUERY)) for _ in range(_WARM_RUNS)]
    folder = str(workspace.folder)
    command = python("localembed", "query", _QUERY, "-q", "--workspace", folder)
    command.append("--no-resident")
    cold = [_seconds(lambda: _answer(command)) for _ in range(_COLD_RUNS)]
    return QueryLatency(tuple(cold), tuple(warm))


def _answer(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment())
    if done.returncode not in (0, 1):
        message = f"the query process exited with code {done.returncode}"
        raise StorageError(done.stderr.strip() or message)


def _seconds(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin
