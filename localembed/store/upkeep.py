"""What a table needs now and then, also in a child: `python -m localembed.store.upkeep`.

Building the text index over 120,000 rows takes 120 MB that the indexing process would never give
back, a vector index and putting fragments together even more. Should that process be killed
meanwhile, the child dies with it: the next run may hold the writer lock by then.
"""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from threading import Thread
from typing import Any

from localembed.children import environment, python
from localembed.errors import StorageError
from localembed.store.slim import leave_out_namespaces

_MEMORY_MIB = 64
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
    )
    handle.create_index("search_text", config=config, replace=True)  # type: ignore[attr-defined]


def compact(handle: Any) -> None:  # noqa: ANN401 - lancedb
    """Put the fragments of an open table together and drop deleted rows; nothing is cleaned up.

    Lance puts no rows that an index holds together with others. The first pass indexes these; left
    undone, the second would be done by the clean-up, behind the version that readers were shown.
    """
    for _ in range(2):
        handle.optimize(cleanup_older_than=_FOREVER)


def in_child(folder: Path, task: str) -> str:
    """Do one of `TASKS` for a Lance table in a child; return what that printed.

    Raises:
        StorageError: it failed; the rows are safe.
    """
    command = python("localembed.store.upkeep", str(folder), task)
    pipe = subprocess.PIPE
    with (
        tempfile.TemporaryFile("w+", errors="replace") as complaints,
        subprocess.Popen(
            command, env=environment(), stdin=pipe, stdout=pipe, stderr=complaints
        ) as child,
    ):
        # Its stdin stays open for as long as this process lives (see `_end_with_parent`).
        said = child.stdout.read().decode() if child.stdout else ""
        child.wait()
        complaints.seek(0)
        lines = complaints.read().strip().splitlines()
    if child.returncode:
        last = lines[-1:] or [f"exit code {child.returncode}"]
        message = f"The upkeep of {folder} failed ({task}): {last[0]}. Run: localembed index"
        raise StorageError(message)
    return said


def _end_with_parent() -> None:
    """End this process when the one that started it dies, and with it its writer lock."""

    def wait() -> None:
        os.read(0, 1)
        os._exit(1)

    Thread(target=wait, daemon=True).start()


def _print_vector_index(handle: Any) -> None:  # noqa: ANN401
    from localembed.store.vector_index import build_vector_index

    sys.stdout.write(json.dumps(asdict(build_vector_index(handle))))


TASKS: dict[str, Callable[[Any], None]] = {
    "text": build_text_index,
    "vector": _print_vector_index,
    "compact": compact,
}


def main() -> None:
    """Do for a table what the command line names."""
    from localembed.store.lance import connect

    _end_with_parent()
    leave_out_namespaces()
    folder, task = Path(sys.argv[1]), sys.argv[2]
    TASKS[task](connect(folder.parent).open_table(folder.stem))


if __name__ == "__main__":
    main()
