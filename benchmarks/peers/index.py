"""This project's whole command, `localembed index`, on a folder with one file a chunk."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.peers.contract import Timing, peak_megabytes

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.peers.contract import Matrix, Task

_FILES_A_FOLDER = 100


class Contestant:
    """The command in a process of its own: here the child only waits."""

    def __init__(self, task: Task) -> None:
        """Write the files."""
        self._scratch = task.scratch
        self._docs = task.scratch / "docs"
        self._workspace = task.scratch / "workspace"
        self._report: dict[str, Any] = {}
        self._paths = [
            self._docs / f"{number // _FILES_A_FOLDER:04}" / f"{number:06}.txt"
            for number in range(len(task.texts))
        ]
        for path, text in zip(self._paths, task.texts, strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="")

    def embed(self) -> Timing:
        """Index the folder; loading the model counts to the process, as it does for the others."""
        output = self._scratch / "report.json"
        command = [sys.executable, "-m", "localembed", "index", str(self._docs), "--json"]
        env = {**os.environ, "LOCALEMBED_WORKSPACE": str(self._workspace)}
        begin = time.perf_counter()
        with output.open("wb") as stream:
            # Its errors go where the child's go: the last line says why it failed.
            run = subprocess.Popen(command, env=env, stdout=stream)
            peak = _wait(run)
        seconds = time.perf_counter() - begin
        if run.returncode:
            sys.exit(run.returncode)
        self._report = json.loads(output.read_text())
        loading = self._report["stages"]["load model"]
        return Timing(self._report["seconds"] - loading, seconds, None, peak)

    def vectors(self) -> Matrix | None:
        """Return the stored vectors, None if a file gave anything but one chunk."""
        rows = _rows(self._workspace / "vectors")
        by_path = {os.fsdecode(path): vector for path, vector in rows}
        names = [str(path.relative_to(self._docs)) for path in self._paths]
        if len(rows) != len(names):
            return None
        return np.array([by_path[name] for name in names], np.float32)

    def facts(self) -> dict[str, object]:
        """Return the run's own account."""
        kept = ("files", "chunks", "tokens", "stages")
        return {"seconds_with_loading": self._report["seconds"]} | {
            name: self._report[name] for name in kept
        }


def _wait(run: subprocess.Popen[bytes]) -> float:
    """Wait and return the process's own peak: wait4 would count its children, too."""
    peak = 0.0
    while run.poll() is None:
        peak = max(peak, peak_megabytes(run.pid))
        time.sleep(0.05)
    return peak


def _rows(folder: Path) -> list[tuple[bytes, list[float]]]:
    import lancedb

    (table,) = sorted(folder.glob("*.lance"))
    rows = lancedb.connect(folder).open_table(table.stem).to_arrow()
    return list(zip(rows["path_bytes"].to_pylist(), rows["vector"].to_pylist(), strict=True))
