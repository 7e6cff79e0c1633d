"""Processes that this one starts: what they are made of, and what they never run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import localembed
from localembed.errors import StorageError
from localembed.store.lance import maintenance_child

PACKAGE = Path(localembed.__file__).parent


@pytest.fixture
def hostile(tmp_path, monkeypatch):
    """Stand in a folder of documents, one of which is named as a module of Python's is."""
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "json.py").write_text("raise SystemExit('a document was run')")
    monkeypatch.chdir(folder)
    return folder


def test_a_document_is_no_module(hostile):
    done = subprocess.run([sys.executable, "-m", "json.tool"], capture_output=True, check=False)
    assert b"a document was run" in done.stderr  # what Python does by itself
    with pytest.raises(StorageError, match="not found"):
        maintenance_child.MaintenanceChild(hostile / "tables" / "none.lance").do(["text"])


def test_no_other_room_starts_python():
    rooms = [path for path in PACKAGE.rglob("*.py") if '"-m"' in path.read_text()]
    assert [path.name for path in rooms] == ["processes.py"]
