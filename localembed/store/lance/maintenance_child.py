"""The maintenance tasks of a table, and the child process that can run them.

    python -m localembed.store.lance.maintenance_child

Building the text index over 120,000 rows takes 120 MB that the indexing process would never give
back; a vector index or a compaction takes even more. If the indexing process is killed, the child
process exits with it: by then, the next run may hold the writer lock.

Compaction moves rows, and Lance updates every index for that: 0.9 s for 45,000 rows, 0.5 s without
a text index. So an index that will be rebuilt is dropped first.
"""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from threading import Thread
from typing import IO, Any, Literal, cast

from localembed.core.processes import environment, python
from localembed.errors import StorageError
from localembed.store.lance.slim_import import leave_out_namespaces
from localembed.types.tables import VectorIndex

Task = Literal["compact", "text", "vector"]
"""Compact fragments, build the text index, build the vector index; in this order."""

INDEXED: dict[Task, str] = {"text": "search_text", "vector": "vector"}
"""The column whose index a task builds."""

_MEMORY_MIB = 128
_TOKENIZER_THREADS = 4
"""Threads that tokenize texts, at most one per core: with two, 1.3 s instead of 2.1 s."""
_KEEP_ALL = datetime.timedelta(days=36500)


def build_text_index(handle: object) -> None:
    """Build the full-text index of an open lancedb table, replacing any existing one.

    Every word is indexed: with this tokenizer, Lance's lists of stop words are those of all
    languages at once, so that `os` and `min` could not be found (lance#7279). Queries leave out
    English ones instead (see `search.words`).
    """
    from lancedb.index import FTS

    config = FTS(
        with_position=False,
        base_tokenizer="icu/split",
        language="English",
        stem=True,
        remove_stop_words=False,
        max_token_length=None,
        block_size=256,
        ascii_folding=True,
        memory_limit=_MEMORY_MIB,
        num_workers=_TOKENIZER_THREADS,
    )
    handle.create_index("search_text", config=config, replace=True)  # type: ignore[attr-defined]


def compact(handle: Any) -> None:  # noqa: ANN401 - lancedb
    """Compact the fragments of an open table and drop deleted rows; older versions stay.

    Lance does not merge indexed rows with others. The first pass indexes the others; without the
    second pass here, the clean-up would do it, after the version that was published.
    """
    for _ in range(2):
        handle.optimize(cleanup_older_than=_KEEP_ALL)


def index_name(handle: Any, column: str) -> str | None:  # noqa: ANN401
    """Return the name of a column's index in an open table, None if there is none."""
    indices = handle.list_indices()
    return next((index.name for index in indices if list(index.columns) == [column]), None)


def run_tasks(handle: Any, tasks: Sequence[Task]) -> VectorIndex | None:  # noqa: ANN401
    """Run tasks on an open table, in order; return the measurements of a new vector index."""
    if "compact" in tasks:
        for task in tasks:
            if task in INDEXED and (name := index_name(handle, INDEXED[task])):
                handle.drop_index(name)
        compact(handle)
    if "text" in tasks:
        build_text_index(handle)
    if "vector" in tasks:
        from localembed.store.lance.vector_index import build_vector_index

        return build_vector_index(handle)
    return None


class MaintenanceChild:
    """A child process that runs tasks on a Lance table, once.

    It takes half a second to start, so it can be started before the tasks are known.
    """

    def __init__(self, folder: Path) -> None:
        """Start the process.

        Args:
            folder: the table.

        Raises:
            OSError: no more processes can be started.
        """
        self._folder = folder
        self._stderr = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115 - closed by end
        pipe = subprocess.PIPE
        try:
            self._process = subprocess.Popen(
                python("localembed.store.lance.maintenance_child", str(folder)),
                env=environment(),
                stdin=pipe,
                stdout=pipe,
                stderr=self._stderr,
                text=True,
            )
        except BaseException:
            self._stderr.close()
            raise
        self._stdin = cast("IO[str]", self._process.stdin)
        self._stdout = cast("IO[str]", self._process.stdout)

    def do(self, tasks: Sequence[Task]) -> VectorIndex | None:
        """Run tasks in it (see `run_tasks`), then end it.

        Raises:
            StorageError: it failed; the rows are safe.
        """
        try:
            with suppress(BrokenPipeError):  # it has exited, and has printed why
                self._stdin.write(f"{' '.join(tasks)}\n")
                self._stdin.flush()
            # Its stdin stays open as long as this process lives (see `_exit_with_parent`).
            output = self._stdout.read()
            if code := self._process.wait():
                raise self._failure(tasks, code)
        finally:
            self.end()
        return VectorIndex(**json.loads(output)) if "vector" in tasks else None

    def end(self) -> None:
        """Kill the process, whatever it is doing."""
        self._process.kill()
        self._process.wait()
        for file in (self._stdin, self._stdout, self._stderr):
            # Unsent input can no longer be flushed.
            with suppress(OSError):
                file.close()

    def _failure(self, tasks: Sequence[Task], code: int) -> StorageError:
        self._stderr.seek(0)
        lines = self._stderr.read().strip().splitlines()
        reason = lines[-1] if lines else f"exit code {code}"
        failed = f"The maintenance of {self._folder} failed ({' '.join(tasks)})"
        return StorageError(f"{failed}: {reason}. Run: localembed index")


def _exit_with_parent() -> None:
    """Exit when the process that started this one, and holds the writer lock, exits."""

    def wait() -> None:
        os.read(0, 1)
        os._exit(1)

    Thread(target=wait, daemon=True).start()


def main() -> None:
    """Run the tasks named on stdin on the table of the command line; print the measurements."""
    leave_out_namespaces()
    # By default Lance reserves two cores for reading and writing, however many there are.
    os.environ.setdefault("LANCE_IO_CORE_RESERVATION", "0")
    from localembed.store.lance.connection import connect, open_table

    folder = Path(sys.argv[1])
    connect(folder.parent)  # import lancedb before there is anything to do
    # The line is empty if nothing is due, or if the parent process has exited.
    tasks: Sequence[Any] = sys.stdin.readline().split()
    if tasks:
        _exit_with_parent()
        measured = run_tasks(open_table(folder), tasks)
        if measured is not None:
            sys.stdout.write(json.dumps(asdict(measured)))


if __name__ == "__main__":
    main()
