"""Children that read and cut: as good as threads, and none outlives its run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import pytest

import localembed
from localembed.chunking import clean
from localembed.chunking.chunker import Chunker
from localembed.chunking.rules import ChunkRules
from localembed.errors import ModelChangedError
from localembed.pipeline import chunk_workers
from localembed.pipeline.chunk_workers import _Child, _Pool
from localembed.pipeline.read_and_chunk import ChunkedFile
from localembed.pipeline.stage_threads import CancelToken, RunCancelledError
from localembed.types.documents import FileStat, SourceFile
from tests.conftest import PROJECT, all_rows, paragraphs
from tests.fake_backend import FakeTokenizer

pytestmark = pytest.mark.skipif(os.name != "posix", reason="looks at processes as POSIX has them")


ENDED = "the process that cut it ended (signal 9); it is tried again at the next run"


def load_chunker(check):
    """Load a chunker, in a child as well."""
    return Chunker(FakeTokenizer(), clean.clean, ChunkRules(16, 0), check=check)


def load_nothing(_check):
    raise ModelChangedError("The tokenizer is gone.")


def source(path: Path) -> SourceFile:
    stat = FileStat(path.stat().st_size, 0, 0, 0)
    return SourceFile("root", os.fsencode(path.parent), os.fsencode(path.name), stat, b"%016d" % 1)


def chunk_one(cut, path: Path) -> ChunkedFile:
    return cut([(source(path), None)])[0]


@pytest.fixture
def children(monkeypatch):
    """Have every run use two children, and return all that were started."""
    started = []
    real = _Child.__init__

    def start(self, load):
        real(self, load)
        started.append(self._process)

    monkeypatch.setattr(chunk_workers, "WORTH_BYTES", 0)
    monkeypatch.setattr(chunk_workers, "cores", lambda: 2)
    monkeypatch.setattr(_Child, "__init__", start)
    return started


def test_rows_are_those_of_a_run_without_children(
    workspace, notes, tmp_path, children, monkeypatch
):
    for number in range(20):
        (notes / f"{number}.md").write_text(paragraphs(1 + number % 7, f"w{number}"))
    (notes / "binary.md").write_bytes(b"\x00\x01" * 200)
    (notes / "empty.md").write_text("")

    report = workspace.index()

    assert len(children) == 2
    assert all(child.poll() is not None for child in children)
    monkeypatch.setattr(chunk_workers, "WORTH_BYTES", 1 << 40)
    other = localembed.Workspace(tmp_path / "other")
    threads = other.index([notes])
    assert len(children) == 2
    mine, others = all_rows(workspace), all_rows(other)
    assert [row[1:] for row in sorted(mine, key=_place)] == [
        row[1:] for row in sorted(others, key=_place)
    ]
    assert (report.files, report.bytes) == (threads.files, threads.bytes)
    assert [note.reason for note in report.skipped] == [note.reason for note in threads.skipped]


def test_a_file_that_ends_its_child_fails_alone(workspace, notes, children, monkeypatch):
    for name in ("a", "b", "c", "d"):
        (notes / f"{name}.md").write_text(f"zebra {name}")
    real = _Child.ask
    asked = []

    def ask(self, files):
        asked.append([file.path for file, _ in files])
        if b"b.md" in asked[-1]:
            self._process.kill()
            self._process.wait()
        return real(self, files)

    with monkeypatch.context() as patched:
        patched.setattr(_Child, "ask", ask)
        report = workspace.index()

    everything = [b"a.md", b"b.md", b"c.md", b"d.md"]
    assert [path for path in asked[0] if path in everything] == everything
    assert report.exit_code == 3
    assert [note.reason for note in report.failures] == [ENDED]
    assert len(workspace.query("zebra", mode="text")) == 3
    assert all(child.poll() is not None for child in children)
    assert workspace.index().failures == ()
    assert len(workspace.query("zebra", mode="text")) == 4


def test_children_are_asked_for_small_files_together_and_for_large_ones_alone(
    workspace, notes, children, monkeypatch
):
    real = _Child.ask
    sizes = []

    def ask(self, files):
        sizes.append([file.stat.size for file, _ in files])
        return real(self, files)

    monkeypatch.setattr(_Child, "ask", ask)
    (notes / "large.md").write_text("word " * 40_000)
    for number in range(300):
        (notes / f"{number}.md").write_text("" if number % 2 else "word " * 200)

    workspace.index()

    assert [200_000] in sizes
    assert 4 <= len(sizes) <= 12
    assert max(map(len, sizes)) <= 64
    assert all(sum(group) <= 64 << 10 for group in sizes if len(group) > 1)


def test_where_no_child_can_begin_files_are_cut_here(tmp_path, children, monkeypatch):
    monkeypatch.setattr(
        chunk_workers, "python", lambda _: [sys.executable, "-c", "raise SystemExit(1)"]
    )
    file = tmp_path / "a.txt"
    file.write_text("words")
    with chunk_workers.chunk_workers(load_chunker, 1, CancelToken()) as at_work:
        found = [chunk_one(at_work.cut, file) for _ in range(4)]
    assert [cut.chunked.chunks[0].text for cut in found] == ["words"] * 4
    assert len(children) == 2


def test_a_file_is_cut_here_when_no_other_child_can_be_had(tmp_path, children, monkeypatch):
    file = tmp_path / "a.txt"
    file.write_text("words")
    with chunk_workers.chunk_workers(load_chunker, 1, CancelToken()) as at_work:
        chunk_one(at_work.cut, file)
        for child in children:
            child.kill()
            child.wait()
        monkeypatch.setattr(chunk_workers.subprocess, "Popen", refuse)
        reasons = [chunk_one(at_work.cut, file).error for _ in range(3)]
    assert reasons == [ENDED] * 2 + [""]


def test_children_find_modules_where_their_parent_does(tmp_path, children):
    """A library that was put on sys.path by hand, or an interpreter that ignores PYTHONPATH."""
    stray = tmp_path / "stray" / "localembed"
    stray.mkdir(parents=True)
    (stray / "__init__.py").write_text("raise SystemExit('a stray module was run')")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.txt").write_text("words")
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(PROJECT)!r})\n"
        "from pathlib import Path\n"
        "from localembed.pipeline import chunk_workers\n"
        "from localembed.pipeline.stage_threads import CancelToken\n"
        "from tests.test_chunk_workers import chunk_one, load_chunker\n"
        "chunk_workers.cores = lambda: 2\n"
        "with chunk_workers.chunk_workers(load_chunker, 1 << 30, CancelToken()) as at_work:\n"
        "    assert at_work.at_once == 2\n"
        f"    found = chunk_one(at_work.cut, Path({str(tmp_path / 'docs' / 'a.txt')!r}))\n"
        "    print(found.error or found.chunked.chunks[0].text)\n"
    )
    for flags in ((), ("-E",)):
        env = {**os.environ, "PYTHONPATH": str(stray.parent)}
        done = subprocess.run(
            [sys.executable, *flags, str(script)],
            env=env, cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.stdout, done.stderr) == ("words\n", "")


def test_what_a_child_raises_is_raised_here(tmp_path):
    file = tmp_path / "a.txt"
    file.write_text("words")
    pool = _Pool(load_nothing, pytest.fail, 1)
    try:
        with pytest.raises(ModelChangedError, match="gone"):
            chunk_one(pool.cut, file)
    finally:
        pool.close()


def test_a_child_gives_up_when_the_run_is_over(tmp_path, children):
    file = tmp_path / "long.txt"
    file.write_text("many words " * 2_000_000)
    stop, ended = CancelToken(), []

    def cut(at_work, path):
        try:
            chunk_one(at_work.cut, path)
        except RunCancelledError:
            ended.append(time.monotonic())

    with chunk_workers.chunk_workers(load_chunker, 1, stop) as at_work:
        thread = threading.Thread(target=cut, args=(at_work, file))
        thread.start()
        time.sleep(1.0)
        assert thread.is_alive()
        said = time.monotonic()
        stop.cancel()
        thread.join(20)
        with pytest.raises(RunCancelledError):
            chunk_one(at_work.cut, file)
    assert ended
    assert ended[0] - said < 5
    assert len(children) == 2
    assert all(child.poll() is not None for child in children)


def refuse(*_arguments, **_options):
    raise BlockingIOError(11, "Resource temporarily unavailable")


def test_without_processes_there_are_threads(tmp_path, monkeypatch):
    monkeypatch.setattr(chunk_workers.subprocess, "Popen", refuse)
    monkeypatch.setattr(chunk_workers, "cores", lambda: 2)
    file = tmp_path / "a.txt"
    file.write_text("words")
    with chunk_workers.chunk_workers(
        load_chunker, chunk_workers.WORTH_BYTES, CancelToken()
    ) as at_work:
        assert chunk_one(at_work.cut, file).chunked.chunks[0].text == "words"


def test_few_files_need_no_child(tmp_path, monkeypatch):
    monkeypatch.setattr(chunk_workers.subprocess, "Popen", pytest.fail)
    with chunk_workers.chunk_workers(
        load_chunker, chunk_workers.WORTH_BYTES - 1, CancelToken()
    ) as at_work:
        assert at_work.at_once >= 1


def test_no_child_outlives_a_killed_run(tmp_path):
    """They stand in groups of their own, where Ctrl-C of a terminal does not reach them either."""
    script = (
        "import time\n"
        "from localembed.pipeline.chunk_workers import _Pool\n"
        "from tests.test_chunk_workers import load_chunker\n"
        "pool = _Pool(load_chunker, None, 2)\n"
        "print(*(child._process.pid for child in pool._all), flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=PROJECT
    ) as parent:
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert [os.getpgid(pid) for pid in pids] == pids
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    deadline = time.monotonic() + 20
    while any(map(partial(_lives), pids)):
        assert time.monotonic() < deadline, "a child is still there"
        time.sleep(0.05)


def _lives(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


def _place(row):
    """Return path and start: a chunk's id says which root it is of."""
    return row[2:4]
