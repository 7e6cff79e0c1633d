"""Break a file of a workspace in the ways that disks do."""

from __future__ import annotations

import random
from pathlib import Path

from localembed.core.files import read_json
from localembed.search.calibrations import write_calibrations
from localembed.search.confidence import FEATURES, Calibration
from localembed.store.head import read_head
from localembed.store.lance.disk_names import manifest_path, newest_version
from tests.conftest import paragraphs

WAYS = ("flip", "cut", "empty", "gone")
KINDS = (
    "data", "deletions", "newest version", "older version", "transactions", "indices",
    "manifest.duckdb", "head.json", "a run", "the tags",
    "the calibrations",
)  # fmt: skip


def grow(workspace, notes) -> None:
    """Index in three runs, so that there are files of every kind."""
    for n in range(4):
        (notes / f"{n}.md").write_text(paragraphs(4, f"f{n}"))
    workspace.index()
    (notes / "1.md").write_text(paragraphs(3, "f1") + "\n\n" + paragraphs(2, "again"))
    workspace.index()
    workspace.history.tag("good", "2")
    weights = dict.fromkeys(FEATURES, 0.5)
    write_calibrations(workspace.layout, [Calibration("fake", "text", 60, 0.0, weights)])
    (notes / "new.md").write_text(paragraphs(4, "new"))
    (notes / "3.md").unlink()
    workspace.index()


def file_of(workspace, kind: str, seed: int = 0) -> Path:
    """Return a file of a kind."""
    layout = workspace.layout
    folder = layout.table(read_head(layout).default)
    newest = newest_version(folder)
    chosen = {
        "newest version": [manifest_path(folder, newest)],
        "older version": [manifest_path(folder, newest - 1)],
        "manifest.duckdb": [layout.manifest],
        "head.json": [layout.head],
        "a run": [layout.runs / "2.json"],
        "the tags": [layout.tags],
        "the calibrations": [layout.calibrations],
    }
    found = chosen.get(kind) or [p for p in (folder / f"_{kind}").rglob("*") if p.is_file()]
    found = found or [p for p in (folder / kind).rglob("*") if p.is_file()]
    newest_last: list[Path] = sorted(found, key=lambda path: path.stat().st_mtime_ns)
    return newest_last[seed % len(newest_last)]


def damage(path: Path, way: str, seed: int = 0) -> None:
    """Flip a bit, cut the file in half, empty it, or remove it."""
    data = bytearray(path.read_bytes())
    if way == "gone":
        path.unlink()
        return
    if way == "flip":
        at = random.Random(seed).randrange(len(data))
        data[at] ^= 1 << (seed % 8)
    left: dict[str, bytes] = {
        "flip": bytes(data),
        "cut": bytes(data[: len(data) // 2]),
        "empty": b"",
    }
    path.write_bytes(left[way])


def runs_of(workspace) -> list[int]:
    """Return the runs whose records can be read."""
    return sorted(int(p.stem) for p in workspace.layout.runs.glob("[0-9]*.json") if read_json(p))
