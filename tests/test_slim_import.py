"""The command line imports lancedb without its client of remote catalogs; the library whole."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from tests.conftest import PROJECT

_COMMANDS = """
import json, sys
from tests import fake_backend
from pathlib import Path
import os
fake_backend.register(Path(os.environ["XDG_CONFIG_HOME"]))
from localembed.cli import main as command_line
commands = json.loads(sys.argv[1])
for command in commands:
    sys.argv = ["localembed", *command]
    try:
        command_line.main()
    except SystemExit as stop:
        assert stop.code == 0, (command, stop.code)
client = [sys.modules[name] for name in sys.modules if name.startswith("lance_namespace")]
print(any(getattr(part, "__file__", None) for part in client), "lancedb" in sys.modules)
"""
_LIBRARY = """
import localembed.store.lance.slim_import
import lance_namespace
print(lance_namespace.__file__ is not None)
"""


def python(code, *arguments, cwd):
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def test_every_command_does_without_the_client(own_home, tmp_path):
    (tmp_path / "docs" / "sub").mkdir(parents=True)
    (tmp_path / "docs" / "a.md").write_text("# Keys\n\nrotating api keys")
    (tmp_path / "docs" / "sub" / "b.md").write_text("parseConfig reads settings")
    commands = [
        ["init"],
        ["index", "docs", "-q"],
        *(["query", "keys", "--mode", mode] for mode in ("hybrid", "vector", "text")),
        ["index", "--verify", "-q"],
        ["rm", "docs/sub", "-q"],
        ["query", "keys", "-q"],
        ["status"],
    ]
    found = python(_COMMANDS, json.dumps(commands), cwd=tmp_path)
    assert found == "False True"


def test_the_library_leaves_other_imports_alone(tmp_path):
    assert python(_LIBRARY, cwd=tmp_path) == "True"
