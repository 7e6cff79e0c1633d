"""Make a table's indexes, in a process of its own: `python -m localembed.store.reindex`.

Building the text index over 120,000 rows takes 120 MB that the indexing process would never give
back, and a vector index more.
Should that process be killed meanwhile, this one ends with a newer version of the table, which the
next run takes over like any other.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
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


def build_in_child(folder: Path, kind: str) -> str:
    """Make the index "text" or "vector" of a Lance table in a child; return what that printed.

    Raises:
        StorageError: it failed; the rows are safe, and are searched without the index.
    """
    command = [sys.executable, "-m", "localembed.store.reindex", str(folder), kind]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        message = (
            f"The {kind} index of {folder} could not be made: {last[0]}. Run: localembed index"
        )
        raise StorageError(message)
    return done.stdout


def main() -> None:
    """Index the table that the command line names; print what was measured of a vector index."""
    from localembed.store.lance import connect
    from localembed.store.vector_index import build_vector_index

    leave_out_namespaces()
    folder, kind = Path(sys.argv[1]), sys.argv[2]
    handle = connect(folder.parent).open_table(folder.stem)
    if kind == "text":
        build_text_index(handle)
    else:
        sys.stdout.write(json.dumps(asdict(build_vector_index(handle))))


if __name__ == "__main__":
    main()
