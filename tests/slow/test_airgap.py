"""docs/airgap.md, followed word for word: from wheels and one file to a query without a network."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PROJECT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

PAGE = (PROJECT / "docs" / "airgap.md").read_text()


def commands(heading: str) -> list[str]:
    """Return the lines that a reader types below a heading."""
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"```console\n(.*?)```", section, re.DOTALL)
    return [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]


def follow(lines: list[str], folder: Path, env: dict[str, str], *before: str) -> str:
    """Type lines into one shell, stopping at the first that fails; return what was printed."""
    script = "set -euxo pipefail\n" + "\n".join(lines)
    done = subprocess.run(
        [*before, "bash", "-c", script], cwd=folder, env=env, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def netless() -> list[str] | None:
    """Return how a command is run where only the loopback is up, None if it cannot be."""
    for options in (["-n"], ["-rn"]):
        command = ["unshare", *options, "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
        if (
            shutil.which("unshare")
            and subprocess.run([*command, "true"], check=False).returncode == 0
        ):
            return command
    return None


def test_from_wheels_and_one_file_to_the_first_query(tmp_path, minilm):
    before = netless()
    if before is None:
        pytest.skip("no network namespace can be made here")
    tools = f"{Path(sys.base_prefix) / 'bin'}:/usr/bin:/bin:/usr/sbin:/sbin"
    pips = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_"))}
    connected, gap = tmp_path / "connected", tmp_path / "gap"
    ignored = shutil.ignore_patterns(".venv*", ".git", "__pycache__", ".*_cache")
    shutil.copytree(PROJECT, connected, ignore=ignored)
    home = tmp_path / "connected-home"
    home.mkdir()
    env = {"PATH": tools, "HOME": str(home), "CI": "1", **pips}
    follow(commands("On the machine with a network"), connected, env)

    (gap / "notes").mkdir(parents=True)
    (gap / "notes" / "keys.md").write_text("To rotate API keys, make a second one, then drop it.\n")
    (gap / "notes" / "bread.md").write_text("Bread is flour, water, salt and time.\n")
    for name in ("wheelhouse", "models.tar", "models.tar.sha256"):
        shutil.move(connected / name, gap / name)
    shutil.rmtree(connected)
    empty = tmp_path / "empty-home"
    empty.mkdir()
    offline = {"PATH": tools, "HOME": str(empty), "CI": "1"}
    printed = follow(commands("On the machine without one"), gap, offline, *before)

    assert "Installed all-MiniLM-L6-v2" in printed
    assert "2 chunks in the index" in printed
    assert printed.index("keys.md:1") < printed.index("No problems found")
    assert "A connection to 192.0.2.1 was refused" in printed
    assert re.search(r"^ 1 .*keys\.md", printed, re.MULTILINE)
