"""Processes by the hundred."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading

import pytest

from tests.conftest import PROJECT
from tests.slow.forking import Forks


@pytest.fixture(scope="session")
def forks(tmp_path_factory):
    """Start command lines in processes of their own, at no cost (see `forking`)."""
    folder = tmp_path_factory.mktemp("forks")
    with subprocess.Popen(
        [sys.executable, "-m", "tests.slow.forking"],
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert json.loads(process.stdout.readline()) == "ready"
        yield Forks(process.stdin, process.stdout, folder, threading.Lock())
        process.stdin.close()
