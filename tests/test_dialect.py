"""The names that the code had before it took the field's own are gone, in code, docs and help.

Words that are plain English as well (overlap, take, expect, access, leave, direct, nearest, choice,
loaded, asked, wanted, frame, sweep) are not counted, nor is `dry_run`, a key of a JSON form.
"""

from __future__ import annotations

import re

import pytest

from tests.conftest import PROJECT

OLD_NAMES = {
    "Patient", "RootBook", "ProfileBook", "EngineMemory", "Upkeep", "UpkeepChild", "Tended",
    "tend", "Tally", "tally", "SeenHashes", "Claims", "of_others", "Committer", "PaidVectors",
    "paid_bytes", "keep_paid", "KeepPaid", "Cutters", "cutter", "cutters", "cutters_of",
    "cut_here", "CutDocuments", "CutFiles", "read_and_cut", "cut_batches", "cut_requests",
    "cut_keys", "rank_cuts", "doomed", "settle", "hands", "begin_beat", "last_beat",
    "end_beat", "read_heartbeat", "LastBeat", "tame_heaps", "view_without", "SyncedFolder",
    "StoppedError", "choose_table", "LoadedModels", "PassingFault", "TooMuchFault",
    "HopelessError", "UnreachableFault", "WrongModelFault", "asks_server", "asks_a_server",
    "on_pieces", "mend", "mends", "mended", "mending", "sbert", "rootbook", "modelspec",
    "catalog", "light_engine", "fused_engine", "torch_engine", "packed_engine",
    "openvino_engine", "static_engine", "numpy_engine", "LARGE_BATCH_CHUNKS", "WORTH_BYTES",
    "EXACT_ROWS", "BLOCK_CHARS",
}  # fmt: skip
WORD = re.compile(r"\w+")
MOODS = re.compile(r"_?([A-Z]+_)*(MOST|LEAST)(_[A-Z]+)*")
PLACES = ("localembed", "docs", "tests", "benchmarks", "README.md", "CONTRIBUTING.md",
          "pyproject.toml", "Makefile", "models.toml")  # fmt: skip


def texts():
    for place in PLACES:
        path = PROJECT / place
        files = [path] if path.is_file() else sorted(path.rglob("*"))
        for file in files:
            if file.suffix in (".py", ".md", ".toml", ".sh", "") and file.is_file():
                yield file.relative_to(PROJECT).as_posix(), file.read_text()


@pytest.mark.parametrize(("name", "text"), list(texts()), ids=[name for name, _ in texts()])
def test_no_old_name_is_left(name, text):
    if name == "tests/test_dialect.py":
        return
    words = set(WORD.findall(text))
    assert words & OLD_NAMES == set()
    assert {word for word in words if MOODS.fullmatch(word)} == set()
