"""The whole command line in this process, and fixtures that its tests share."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import pytest

from localembed.cli.main import main
from tests.conftest import PROJECT

_NORMAL = (
    (r"(?m)^   (?:[a-z ]+ [\d.]+ s(?:, |$))+$|^   every stage under 0\.1 s$", "   STAGES"),
    (
        r"(?m)^   bottleneck: (?:reading|loading|embedding|writing), busy \d+%; .*$",
        "   BOTTLENECK",
    ),
    (r"[\d.,]+ (s\b|files/s|chunks/s|tokens/s)", r"N \1"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d [A-Z+-]\S*", "TIME"),
    (r"[\d.]+ (?:B|KiB|MiB|GiB)\b", "SIZE"),
)


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str

    @property
    def parts(self) -> tuple[int, str, str]:
        return self.code, self.out, self.err


@pytest.fixture
def cli(notes, fake, monkeypatch, capsys):
    """Run the whole command line in this process, from `notes`; seconds and sizes are masked."""
    monkeypatch.chdir(notes)

    def call(*arguments) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["localembed", *map(os.fspath, arguments)])
        handlers = {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGHUP)}
        try:
            with pytest.raises(SystemExit) as stopped:
                main()
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
        out, err = capsys.readouterr()
        code = stopped.value.code
        assert isinstance(code, int)
        return Outcome(code, masked(out, notes), masked(err, notes))

    return call


@pytest.fixture
def indexed(cli, notes):
    """Two notes, indexed, in a workspace of their folder."""
    (notes / "keys.md").write_text("# Keys\n\nRotating api keys every month.\n")
    (notes / "garden").mkdir()
    (notes / "garden" / "compost.txt").write_text("Compost needs air.\n")
    cli("init")
    assert cli("index").code == 0
    return notes


@pytest.fixture
def start_index(notes, tmp_path):
    """Index the notes in a process of its own, and return it when it begins to embed."""
    started: list[subprocess.Popen[str]] = []

    def start(*, batch_seconds: float = 0.05, **env: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.slow_cli", "index", notes, "--workspace", "ws"],
            cwd=tmp_path,
            env={
                **os.environ,
                "PYTHONPATH": str(PROJECT),
                "LOCALEMBED_MODEL": "fake",
                "BATCH_SECONDS": str(batch_seconds),
                **env,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stderr is not None
        assert process.stderr.readline() == "embedding\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def masked(text: str, notes: Path) -> str:
    for pattern, shown in _NORMAL:
        text = re.sub(pattern, shown, text)
    return text.replace(str(notes), "NOTES")


def columns(line: str) -> int:
    """Return how many terminal columns a line takes."""
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in line)
    return len(line) + wide - sum(bool(unicodedata.combining(c)) for c in line)
