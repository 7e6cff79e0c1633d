"""What a table needs now and then, also in a child process of its own.

    python -m localembed.store.lance.maintenance_child

Building the text index over 120,000 rows takes 120 MB that the indexing process would never give
back, a vector index and putting fragments together even more. Should that process be killed
meanwhile, the child dies with it: the next run may hold the writer lock by then.

Rows move when fragments are put together, and Lance fixes every index for that: 0.9 s for 45,000
rows, 0.5 s without a text index. So an index that is made anew is dropped before.
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
"""Put fragments together, make the text index, make the vector index; in this order."""

INDEXED: dict[Task, str] = {"text": "search_text", "vector": "vector"}
"""Which column's index a task makes."""

_MEMORY_MIB = 128
_WORKERS = 4
"""That cut texts into words, as far as there are cores: with two, 1.3 s instead of 2.1 s."""
_FOREVER = datetime.timedelta(days=36500)


def build_text_index(handle: object) -> None:
    """Make the full-text index of an open lancedb table, replacing the one there is."""
    from lancedb.index import FTS

    config = FTS(
        with_position=False,
        base_tokenizer="icu/split",
        language="English",
        stem=True,
        remove_stop_words=True,
        ascii_folding=True,
        memory_limit=_MEMORY_MIB,
        num_workers=_WORKERS,
    )
    handle.create_index("search_text", config=config, replace=True)  # type: ignore[attr-defined]


def compact(handle: Any) -> None:  # noqa: ANN401 - lancedb
    """Put the fragments of an open table together and drop deleted rows; nothing is cleaned up.

    Lance puts no rows that an index holds together with others. The first pass indexes these; left
    undone, the second would be done by the clean-up, behind the version that readers were shown.
    """
    for _ in range(2):
        handle.optimize(cleanup_older_than=_FOREVER)


def index_name(handle: Any, column: str) -> str | None:  # noqa: ANN401
    """Return the name of a column's index in an open table, None if there is none."""
    indices = handle.list_indices()
    return next((index.name for index in indices if list(index.columns) == [column]), None)


def run_tasks(handle: Any, tasks: Sequence[Task]) -> VectorIndex | None:  # noqa: ANN401
    """Do tasks for an open table, in order; return what was measured of a new vector index."""
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
    """A child that does tasks for a Lance table, once.

    It takes half a second to begin, so it can be started before it is known what is due.
    """

    def __init__(self, folder: Path) -> None:
        """Start it.

        Args:
            folder: of the table.

        Raises:
            OSError: this machine lets us have no more processes.
        """
        self._folder = folder
        self._complaints = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115 - end
        pipe = subprocess.PIPE
        try:
            self._process = subprocess.Popen(
                python("localembed.store.lance.maintenance_child", str(folder)),
                env=environment(),
                stdin=pipe,
                stdout=pipe,
                stderr=self._complaints,
                text=True,
            )
        except BaseException:
            self._complaints.close()
            raise
        self._to = cast("IO[str]", self._process.stdin)
        self._from = cast("IO[str]", self._process.stdout)

    def do(self, tasks: Sequence[Task]) -> VectorIndex | None:
        """Have it do tasks (see `run_tasks`), and end.

        Raises:
            StorageError: it failed; the rows are safe.
        """
        try:
            with suppress(BrokenPipeError):  # then it has ended, and has said why
                self._to.write(f"{' '.join(tasks)}\n")
                self._to.flush()
            # Its stdin stays open for as long as this process lives (see `_end_with_parent`).
            said = self._from.read()
            if code := self._process.wait():
                raise self._failure(tasks, code)
        finally:
            self.end()
        return VectorIndex(**json.loads(said)) if "vector" in tasks else None

    def end(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._process.wait()
        for file in (self._to, self._from, self._complaints):
            # What it was never sent cannot be flushed any more.
            with suppress(OSError):
                file.close()

    def _failure(self, tasks: Sequence[Task], code: int) -> StorageError:
        self._complaints.seek(0)
        lines = self._complaints.read().strip().splitlines()
        last = lines[-1:] or [f"exit code {code}"]
        what = f"The maintenance of {self._folder} failed ({' '.join(tasks)})"
        return StorageError(f"{what}: {last[0]}. Run: localembed index")


def _end_with_parent() -> None:
    """End this process when the one that started it dies, and with it its writer lock."""

    def wait() -> None:
        os.read(0, 1)
        os._exit(1)

    Thread(target=wait, daemon=True).start()


def main() -> None:
    """Do the tasks named on stdin for the table of the command line; print what was measured."""
    leave_out_namespaces()
    # Lance leaves two cores to reading and writing, whether or not there are more.
    os.environ.setdefault("LANCE_IO_CORE_RESERVATION", "0")
    from localembed.store.lance.connection import connect

    folder = Path(sys.argv[1])
    database = connect(folder.parent)
    # Nothing comes where nothing is due, or nobody is there any more.
    tasks: Sequence[Any] = sys.stdin.readline().split()
    if tasks:
        _end_with_parent()
        measured = run_tasks(database.open_table(folder.stem), tasks)
        if measured is not None:
            sys.stdout.write(json.dumps(asdict(measured)))


if __name__ == "__main__":
    main()
