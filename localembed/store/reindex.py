"""Make a table's full-text index, in a process of its own: `python -m localembed.store.reindex`.

Building the index over 120,000 rows takes 120 MB that the indexing process would never give back.
Should that process be killed meanwhile, this one ends with a newer version of the table, which the
next run takes over like any other.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from localembed.errors import StorageError
from localembed.store.slim import leave_out_namespaces

_MEMORY_MIB = 64


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


def build_in_child(folder: Path) -> None:
    """Make the full-text index of a Lance table in a child process.

    Raises:
        StorageError: it failed; the rows are safe, and are searched without the index.
    """
    command = [sys.executable, "-m", "localembed.store.reindex", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        message = f"The text index of {folder} could not be made: {last[0]}. Run: localembed index"
        raise StorageError(message)


def main() -> None:
    """Index the table that the command line names."""
    from localembed.store.lance import connect

    leave_out_namespaces()
    folder = Path(sys.argv[1])
    build_text_index(connect(folder.parent).open_table(folder.stem))


if __name__ == "__main__":
    main()
