"""Make a table's indexes, in a process of its own: `python -m localembed.store.reindex`.

Building the text index over 120,000 rows takes 120 MB that the indexing process would never give
back, and a vector index more.
Should that process be killed meanwhile, this one ends with a newer version of the table, which the
next run takes over like any other.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from localembed.errors import StorageError
from localembed.store.slim import leave_out_namespaces

_MEMORY_MIB = 64
_SAMPLE, _NEAREST = 20, 10
_PROBES, _REFINED = 40, 2
_YES = True


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


def build_vector_index(handle: Any) -> float:  # noqa: ANN401 - lancedb
    """Make the vector index of an open table, replacing the one there is; return its recall@10.

    IVF with scalar quantisation: of those that lancedb has it is built the fastest, and its recall
    needs no tuning (see docs/architecture.md).
    """
    from lancedb.index import IvfSq

    handle.create_index("vector", config=IvfSq(distance_type="cosine"), replace=True)
    return _recall(handle)


def _recall(handle: Any) -> float:  # noqa: ANN401 - lancedb
    """Return the share of the ten nearest that the index finds, over rows spread over the table."""
    rows = int(handle.count_rows())
    offsets = [(2 * number + 1) * rows // (2 * _SAMPLE) for number in range(_SAMPLE)]
    sample = handle.take_offsets(offsets).select(["vector"]).to_arrow()["vector"].drop_null()
    found = total = 0
    for vector in sample.to_pylist():
        exact = _nearest(handle.search(vector, vector_column_name="vector").bypass_vector_index())
        near = _nearest(tuned(handle.search(vector, vector_column_name="vector")))
        found += len(exact & near)
        total += len(exact)
    return found / max(1, total)


def _nearest(search: Any) -> set[int]:  # noqa: ANN401 - lancedb
    columns = search.distance_type("cosine").limit(_NEAREST).select(["ord", "_distance"])
    return set(columns.with_row_id(_YES).to_arrow()["_rowid"].to_pylist())


def tuned(search: Any) -> Any:  # noqa: ANN401 - lancedb
    """Return a search that looks into as many partitions as the recall needs."""
    return search.nprobes(_PROBES).refine_factor(_REFINED)


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
    """Index the table that the command line names; print the recall of a vector index."""
    from localembed.store.lance import connect

    leave_out_namespaces()
    folder, kind = Path(sys.argv[1]), sys.argv[2]
    handle = connect(folder.parent).open_table(folder.stem)
    if kind == "text":
        build_text_index(handle)
    else:
        sys.stdout.write(f"{build_vector_index(handle)}")


if __name__ == "__main__":
    main()
