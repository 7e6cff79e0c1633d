"""docs/json.md says what every form holds: no key is missing there, and none is made up."""

from __future__ import annotations

import inspect
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from localembed.evaluation.calibration import Reliability
from localembed.search.confidence import Calibration
from localembed.types import json_forms
from localembed.types.documents import EncodingNote, Note, Root
from localembed.types.findings import Checkup, Finding
from localembed.types.listing import FileListing, ListedFile
from localembed.types.models import EngineUse, ListedModel, ModelSpec, RemoteUse
from localembed.types.queries import QueryResult, SearchHit
from localembed.types.runs import (
    ChunkCounts,
    Estimate,
    FileCounts,
    Preview,
    Price,
    RunReport,
    TokenCounts,
)
from localembed.types.serving import LoadedModel, OpenWorkspace, ServerStatus
from localembed.types.tables import (
    Changes,
    Garbage,
    ListedRoot,
    MovedRoot,
    RootListing,
    Status,
    TableHead,
    UnknownRoot,
    VectorIndex,
    Version,
)
from localembed.types.trust import Permission, TrustedWorkspace
from tests.conftest import PROJECT

PAGE = (PROJECT / "docs" / "json.md").read_text()
FOLDER = Path("/w")
NOTE = Note(b"/w/a.pdf", "binary")
USE = EngineUse("openai", "host", "remote", 0, 1, 1, 0, RemoteUse(1, 0, 1, 0.1, 0.0))
REPORT = RunReport(
    run=1, version=1, model="m", changed=True, files=FileCounts(), chunks=ChunkCounts(),
    tokens=TokenCounts(), bytes=1, seconds=1.0, stages={"walk": 1.0},
    busy={"read": 1.0, "embed": 0.5, "write": 0.1}, engine=USE, skipped=(NOTE,), failures=(NOTE,),
    encodings=(EncodingNote(b"/w/a.txt", "cp1252", True, 1),),
    left_out=(NOTE,), largest=(ListedFile(b"/w/a.md", 2),),
)  # fmt: skip
RELIABLE = Reliability(1, 0.5, 0.3, 0.8, 0.05, ((0.5, 0.5, 1),))
HIT = SearchHit(
    chunk_id="0", score=1.0, path="/w/a.md", start_line=1, end_line=2, start=0, end=9, heading="",
    text="words", tokens=1, similarity=1.0, text_score=1.0, vector_rank=1, text_rank=1,
    before="a", after="b",
)  # fmt: skip
HEAD = TableHead(
    uuid="u", lance_version=1, run=1, complete=True, model="m", space_id="s", dim=3,
    max_tokens=1, overlap_tokens=0, vector_type="float16",
)  # fmt: skip
STATUS = Status(
    workspace=FOLDER, model="m", table="t", version=1, files=1, chunks=1, roots=(Root("r", b"/w"),),
    disk_bytes=1, complete=True, vector_index=VectorIndex(0.99, 2), unreadable=0,
    running={"run": 1},
    last_run=None, other_tables={"t2": HEAD}, failures=(NOTE,),
)  # fmt: skip
PERMISSION = Permission("root", "/elsewhere")
TRUSTED = TrustedWorkspace(FOLDER, "id", 0, 1, 2, (PERMISSION,))
SPEC = ModelSpec("m", "sentence-transformers", (), 3, 9, "mean", True, "MIT")


@dataclass(frozen=True)
class Stage:
    """Stands for a record of an upper room."""

    stage: str = "read"
    seconds: float = 1.0
    chunks: int = 1
    bytes: int = 1


@dataclass(frozen=True)
class Latencies:
    """Stands for measured queries."""

    cold: tuple[float, ...] = (1.0,)
    warm: tuple[float, ...] = (0.1,)


@dataclass(frozen=True)
class Check:
    """Stands for a verified model."""

    name: str = "m"
    folder: Path | None = FOLDER
    files: int = 1
    problem: str = ""


FORMS = {
    "report_json": json_forms.report_json(REPORT),
    "preview_json": json_forms.preview_json(Preview("m", Estimate(1, 1, 0, 1, 1, 1), Price())),
    "query_json": json_forms.query_json(
        QueryResult("q", "hybrid", 1, "m", 0.1, (HIT,), complete=True, pieces=1)
    ),
    "hit_json": json_forms.hit_json(1, HIT),
    "show_json": json_forms.show_json("a.md", [HIT]),
    "status_json": json_forms.status_json(STATUS),
    "files_json": json_forms.files_json(
        FileListing((ListedFile(b"/w/a.md", 2),), (NOTE,), (NOTE,))
    ),
    "roots_json": json_forms.roots_json(
        RootListing(
            (ListedRoot(Root("r", b"/w"), 1, missing=False),), (UnknownRoot("lost", 1, b"a.md"),)
        )
    ),
    "moved_root_json": json_forms.moved_root_json(
        MovedRoot(Root("r", b"/w"), b"/v", looked_at=1, found=1)
    ),
    "settings_json": json_forms.settings_json(Stage(), {"stage": "default"}),
    "init_json": json_forms.init_json(FOLDER, created=True),
    "trust_json": json_forms.trust_json(TRUSTED, [PERMISSION]),
    "trust_list_json": json_forms.trust_list_json([TRUSTED]),
    "trust_forget_json": json_forms.trust_forget_json(1),
    "server_json": json_forms.server_json(
        ServerStatus(1, (OpenWorkspace("/w", 1, 0.5, 0),), (LoadedModel("m", "light"),), 1, 1 << 30)
    ),
    "checkup_json": json_forms.checkup_json(Checkup((Finding("lock", "ok", "text"),), ("x",))),
    "versions_json": json_forms.versions_json([Version("t", HEAD, "", 0, {}, ())]),
    "changes_json": json_forms.changes_json("1", "2", Changes((), (), (), 0, 0)),
    "tag_json": json_forms.tag_json("good", 1),
    "restore_json": json_forms.restore_json(REPORT, "1"),
    "garbage_json": json_forms.garbage_json(Garbage((1,), (), ()), None),
    "model_list_json": json_forms.model_list_json([ListedModel(SPEC, None, 0, "pull it")], {}),
    "model_block_json": json_forms.model_block_json("m", {}),
    "model_use_json": json_forms.model_use_json("m", indexed=True),
    "model_pull_json": json_forms.model_pull_json("m", FOLDER, 1),
    "model_removal_json": json_forms.model_removal_json("m", FOLDER, None),
    "model_checks_json": json_forms.model_checks_json([(Check(), FOLDER)]),
    "bundle_json": json_forms.bundle_json(FOLDER, ["m"], 1, 1, 1),
    "bundle_install_json": json_forms.bundle_install_json(["m"], [], None),
    "bench_json": json_forms.bench_json(
        "m", "machine", "your files", [Stage()], Stage(), largest_batch=None, saved=False
    ),
    "bench_stages_json": json_forms.bench_stages_json("machine", [(Stage(), 1.0)], "read"),
    "bench_query_json": json_forms.bench_query_json("machine", Latencies()),
    "calibration_json": json_forms.calibration_json(
        "q.tsv",
        [{**asdict(Calibration("m", "text", 1, 0.0, {})), "reliability": asdict(RELIABLE)}],
    ),
    "eval_json": json_forms.eval_json("d", 1, 1, modes={}, hybrid_over_better_part={}),
}


def keys(form: object) -> set[str]:
    """Return the keys of a form and of what it holds; names of settings and tables are data."""
    if isinstance(form, list | tuple):
        return set().union(*map(keys, form))
    if not isinstance(form, dict):
        return set()
    data = {"settings", "other_tables", "stages", "running", "points", "knee"}
    inner = [keys(value) for key, value in form.items() if key not in data]
    return set(form).union(*inner)


def test_every_form_is_tried():
    functions = inspect.getmembers(json_forms, inspect.isfunction)
    own = {name for name, function in functions if function.__module__ == json_forms.__name__}
    assert {name for name in own if not name.startswith("_")} == set(FORMS)


@pytest.mark.parametrize("name", FORMS)
def test_the_page_names_every_key_of_a_form(name):
    missing = [key for key in keys(FORMS[name]) if not re.search(rf"[`\"]{key}[`\"]", PAGE)]
    assert missing == []


@pytest.mark.parametrize("name", FORMS)
def test_a_form_is_plain_values(name):
    assert json.loads(json.dumps(FORMS[name]))


def test_every_key_in_a_table_of_the_page_is_in_a_form():
    in_forms = set().union(*map(keys, FORMS.values()))
    for row in re.findall(r"^\| (`[^|]*`) \|", PAGE, re.MULTILINE):
        for key in re.findall(r"`([a-z_@0-9]+)`", row):
            assert key in in_forms, key
