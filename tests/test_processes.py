"""Processes that this one starts: what they are made of, and what they never run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
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


@pytest.mark.skipif(os.name != "posix", reason="sends signals")
@pytest.mark.parametrize(
    ("command", "end"), [("status", (-signal.SIGINT, "")), ("query", (130, "Interrupted.\n"))]
)
def test_an_interrupt_while_python_imports_prints_no_traceback(own_home, tmp_path, command, end):
    (tmp_path / "localembed").symlink_to(PACKAGE)
    started = tmp_path / "started"
    (tmp_path / "socket.py").write_text(_WAITING_MODULE)
    (tmp_path / "click.py").write_text(_WAITING_MODULE)
    process = subprocess.Popen(
        [sys.executable, "-m", "localembed", command, "word"],
        env={**os.environ, "PYTHONPATH": str(tmp_path), "STARTED": str(started)},
        cwd=own_home,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not started.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == end


_WAITING_MODULE = """
import os, time
open(os.environ["STARTED"], "w").close()
time.sleep(60)
"""
