"""Killed two hundred times, at any moment: readers always get answers, and nothing is lost.

The corpus changes between the kills, batches are small, and tables are compacted and cleaned up
all the time, so a kill may hit any of it.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections import Counter

import pytest

import localembed
from tests.conftest import paragraphs
from tests.test_crash import STEPS, assert_equals_clean_build

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PARTS, KILLS = 8, 25
FILES = 8
SETTINGS = {"BATCH_CHUNKS": "6", "MAX_FRAGMENTS": "2", "LOCALEMBED_KEEP_VERSIONS": "2"}
NAMED = ("files", "embedded", *STEPS, "compacted", "protected", "cleaned")


def text(rng: random.Random) -> str:
    return "zebra\n\n" + paragraphs(rng.randint(1, 4), f"r{rng.randrange(10**6)}")


def change(notes, rng: random.Random) -> None:
    """Change some files, and perhaps add, remove or rename one."""
    files = sorted(notes.glob("*.md"))
    for file in rng.sample(files, min(len(files), rng.randint(1, 4))):
        file.write_text(text(rng))
    if rng.random() < 0.5 or len(files) < FILES:
        (notes / f"{rng.randrange(1000)}.md").write_text(text(rng))
    if rng.random() < 0.5 and len(files) > FILES // 2:
        files.pop(rng.randrange(len(files))).unlink()
    if rng.random() < 0.3:
        rng.choice(files).rename(notes / f"{rng.randrange(1000)}.md")


def undisturbed_seconds(forks, notes, tmp_path) -> float:
    """Return how long a refresh takes that nobody kills."""
    arguments = ("index", "-q", notes, "--workspace", tmp_path / "measured")
    assert forks.run(*arguments, cwd=tmp_path, env=SETTINGS).returncode == 0
    (notes / "0.md").write_text("zebra\n\n" + paragraphs(6, "measured"))
    begin = time.monotonic()
    assert forks.run(*arguments, cwd=tmp_path, env=SETTINGS).returncode == 0
    return time.monotonic() - begin


def kill_somewhere(forks, notes, rng: random.Random, longest: float) -> str:
    """Index and kill it at a random moment or a random step; return which, "" if it came through.

    Half of the kills come from outside, at a time that has nothing to do with what happens.
    """
    if rng.random() < 0.5:
        child = forks.start("index", "-q", cwd=notes, env=SETTINGS)
        time.sleep(rng.uniform(0, longest))
        child.send(signal.SIGKILL)
        how = "moment"
    else:
        how = rng.choice(NAMED)
        env = {**SETTINGS, "STOP_AT": f"{how}:{rng.randint(1, 3)}"}
        child = forks.start("index", "-q", cwd=notes, env=env)
    done = child.wait()
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    assert done.stderr == ""
    return how if done.returncode else ""


def assert_readable(forks, workspace, reader) -> None:
    """Query with a new process, and with one that was there before the kill."""
    published = workspace.layout.head.exists()
    done = forks.run("query", "--json", "-k", "100", "zebra", cwd=workspace.folder.parent)
    assert "Traceback" not in done.stderr
    assert done.returncode == (0 if published else 5), done.stderr
    if published:
        for chunks in (
            [hit["chunk_id"] for hit in json.loads(done.stdout)["hits"]],
            [hit.chunk_id for hit in reader.query("zebra", mode="text", top_k=100)],
        ):
            assert chunks
            assert len(set(chunks)) == len(chunks), "a chunk is found twice"


@pytest.mark.parametrize("part", range(PARTS))
def test_kills_at_any_moment_lose_nothing(workspace, notes, forks, tmp_path, part):
    seed = int(os.environ.get("KILL_SEED", random.SystemRandom().randrange(10**9))) + part
    print(f"KILL_SEED={seed - part}")  # noqa: T201 - to try the same again
    rng = random.Random(seed)
    for n in range(FILES):
        (notes / f"{n}.md").write_text(text(rng))
    longest = undisturbed_seconds(forks, notes, tmp_path)
    reader = localembed.Workspace(workspace.folder)
    kills: Counter[str] = Counter()
    while kills.total() - kills[""] < KILLS:
        kills[kill_somewhere(forks, notes, rng, longest)] += 1
        assert_readable(forks, workspace, reader)
        change(notes, rng)
    print(f"{dict(kills)}, undisturbed {longest:.2f} s")  # noqa: T201
    assert kills[""] < 2 * KILLS
    done = forks.run("index", "-q", cwd=notes, env=SETTINGS)
    assert (done.returncode, done.stderr) == (0, "")
    assert_equals_clean_build(workspace, notes, tmp_path)
