"""What the pages say is what the program does."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from dataclasses import fields

import pytest

import localembed
from localembed import errors
from localembed.cli.main import COMMANDS
from localembed.models.blocks import checked_spec, spec_block
from localembed.models.safety import is_wanted
from localembed.store.layout import Layout
from localembed.types.models import ModelSpec, RemoteSpec
from localembed.types.runs import ChunkCounts, FileCounts, TokenCounts
from localembed.workspace.settings import Settings, resolve
from tests.conftest import PROJECT

README = (PROJECT / "README.md").read_text()
JSON = (PROJECT / "docs" / "json.md").read_text()
PYTHON = (PROJECT / "docs" / "python.md").read_text()
PAGES = sorted(
    [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *(PROJECT / "docs").rglob("*.md")]
)


def test_the_page_of_commands_is_their_own_help():
    done = subprocess.run([sys.executable, "docs/commands.py", "--check"], cwd=PROJECT, check=False)
    assert done.returncode == 0, "run: make docs"


def test_the_page_of_settings_lists_every_setting_once():
    page = (PROJECT / "docs" / "settings.md").read_text()
    listed = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)
    assert sorted(listed) == sorted(setting.name for setting in fields(Settings))


def test_the_page_of_settings_shows_a_config_that_works(tmp_path):
    page = (PROJECT / "docs" / "settings.md").read_text()
    block = re.search(r"```toml\n(.*?)```", page, re.DOTALL)
    assert block
    (tmp_path / "config.toml").write_text(block[1])
    sourced = resolve({}, Layout(tmp_path))
    assert (sourced.settings.top_k, sourced.settings.keep_versions) == (20, 30)


def test_the_page_of_exit_codes_lists_every_code():
    page = (PROJECT / "docs" / "exit-codes.md").read_text()
    listed = re.findall(r"^\| (\d+) \|", page, re.MULTILINE)
    assert listed == ["0", "1", "2", "3", "4", "5", "6", "70", "130", "143"]
    raised = {kind.exit_code for kind in _kinds(errors.LocalembedError)}
    assert {str(code) for code in raised} <= set(listed)


def _kinds(kind):
    return [kind, *(below for child in kind.__subclasses__() for below in _kinds(child))]


def test_every_command_is_in_the_readme():
    for commands in COMMANDS.values():
        for name in commands:
            assert f"localembed {name}" in README


@pytest.mark.parametrize("record", [FileCounts, ChunkCounts, TokenCounts])
def test_every_count_is_on_the_page_of_json_forms(record):
    for field in fields(record):
        assert f"`{field.name}`" in JSON


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), target


def python_blocks(page):
    """Return the Python blocks of a page, in order."""
    return re.findall(r"^```python\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_blocks_import_from_localembed_alone(page):
    for block in python_blocks(page):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.Import):
                assert [alias.name for alias in node.names] == ["localembed"], block
            if isinstance(node, ast.ImportFrom):
                assert (node.module, node.level) == ("localembed", 0), block
                assert {alias.name for alias in node.names} <= set(localembed.__all__), block


RUN = """
import os, pathlib, sys
from tests import fake_backend
fake_backend.register(pathlib.Path(os.environ["XDG_CONFIG_HOME"]))
names = {}
for block in sys.stdin.read().split(chr(0)):
    exec(compile(block, sys.argv[1], "exec"), names)
"""


@pytest.mark.parametrize("page", ["README.md", "docs/python.md"])
def test_the_python_blocks_run_one_after_the_other(page, notes, fake):
    (notes / "keys.md").write_text("Rotating API keys takes three steps.")
    blocks = python_blocks(PROJECT / page)
    assert blocks

    # In a process of its own: `refuse_network` cannot be undone.
    done = subprocess.run(
        [sys.executable, "-c", RUN, page],
        input="\0".join(blocks),
        cwd=notes.parent,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "keys.md" in done.stdout
    for shown in re.findall(r"^```text\n(.*?)^```", (PROJECT / page).read_text(), re.DOTALL | re.M):
        assert shown in done.stdout


PUBLIC = [
    "Checkup", "FileListing", "Filter", "Finding", "ListedFile", "Permission", "Query",
    "QueryResult", "Root", "RunEvent", "RunReport", "SearchHit", "Status", "Step",
    "TrustedWorkspace", "Workspace", "__version__", "distrust", "doctor", "embed", "errors",
    "open", "prove_offline", "refuse_network", "trust", "trusted_workspaces",
]  # fmt: skip
"""The whole public API; whatever else is imported may change without notice."""


def test_the_public_names_are_these_and_each_can_be_had():
    assert sorted(localembed.__all__) == PUBLIC
    for name in PUBLIC:
        assert getattr(localembed, name) is not None


def test_the_page_of_python_describes_every_public_name_and_no_other():
    table = PYTHON[: PYTHON.index("\n## ")]
    assert sorted(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == PUBLIC


def test_the_page_of_python_lists_every_method_of_a_workspace():
    listed = set(re.findall(r"`(?:Workspace\.)?(\w+)(?:\([^`]*\))?`", PYTHON))
    public = {name for name in dir(localembed.Workspace) if not name.startswith("_")}
    assert public - {"layout", "ensure_exists"} <= listed


def test_the_page_of_measurements_is_what_the_results_say():
    command = [sys.executable, "-m", "benchmarks.performance", "--check"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_architecture_is_one_page_and_names_every_room():
    architecture = (PROJECT / "docs" / "architecture.md").read_text()
    package = PROJECT / "localembed"
    rooms = {path.stem for path in package.glob("*.py")} | {
        path.name for path in package.iterdir() if (path / "__init__.py").exists()
    }
    assert len(architecture.splitlines()) <= 110
    for room in rooms - {"__init__", "__main__"}:
        assert f"`{room}`" in architecture, room


DECISIONS = sorted((PROJECT / "docs" / "decisions").glob("*.md"))


@pytest.mark.parametrize(
    "page", [PROJECT / "docs" / "architecture.md", *DECISIONS], ids=lambda page: page.name
)
def test_every_module_that_a_page_names_is_there(page):
    for name in set(re.findall(r"`(\w+/[\w/]+\.py)`", page.read_text())):
        assert (PROJECT / "localembed" / name).exists() or (PROJECT / name).exists(), name


def test_the_architecture_links_every_page_of_decisions():
    architecture = (PROJECT / "docs" / "architecture.md").read_text()
    for page in DECISIONS:
        assert f"](decisions/{page.name})" in architecture


@pytest.mark.parametrize(("page", "count"), [("reliability", 8), ("security", 2)])
def test_every_test_that_stands_beside_a_promise_is_there(page, count):
    text = (PROJECT / "docs" / f"{page}.md").read_text()
    written = "".join(path.read_text() for path in (PROJECT / "tests").rglob("test_*.py"))
    files, names = re.findall(r"`(tests/[\w/]+\.py)`", text), re.findall(r"`(test_\w+)`", text)
    assert len(files) >= count
    assert not [file for file in files if not (PROJECT / file).exists()]
    assert not [name for name in names if f"def {name}(" not in written]


def test_the_page_of_models_shows_a_block_with_every_key():
    page = (PROJECT / "docs" / "models.md").read_text()
    block = re.search(r"```toml\n(.*?)```", page, re.DOTALL)
    assert block

    found = tomllib.loads(block[1])["models"]["mine"]

    assert found.pop("sha256") == {}
    spec = checked_spec("docs/models.md", "mine", found)
    assert spec_block(spec) == found
    unsaid = {"name", "whole_dim", "sha256", "remote"}
    assert {field.name for field in fields(ModelSpec)} == found.keys() | unsaid


def test_the_page_of_remote_models_shows_blocks_that_work_and_every_key():
    page = (PROJECT / "docs" / "remote.md").read_text()
    block = re.search(r"```toml\n(.*?)```", page, re.DOTALL)
    assert block
    for name, found in tomllib.loads(block[1])["models"].items():
        checked_spec("docs/remote.md", name, found)
    for field in fields(RemoteSpec):
        assert f"`{field.name}`" in page, field.name
    defaults = RemoteSpec("", "")
    for number in (defaults.max_inputs, defaults.max_request_tokens, defaults.max_request_bytes):
        assert f"{number:,}" in page


def test_the_page_of_security_names_every_file_that_is_read():
    page = (PROJECT / "docs" / "security.md").read_text()
    allowed = re.search(
        r"Weights as `\.safetensors`, and these:(.*?)in the model's folder", page, re.DOTALL
    )
    assert allowed
    for name in re.findall(r"`([^`]+)`", allowed[1]):
        assert is_wanted(name), name
    refused = re.search(r"pickles\n?\s*\((.*?)\)", page, re.DOTALL)
    assert refused
    for suffix in re.findall(r"`([^`]+)`", refused[1]):
        assert not is_wanted(f"model{suffix}"), suffix
