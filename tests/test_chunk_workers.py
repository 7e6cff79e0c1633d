"""Worker processes that read and chunk: as good as threads, and none outlives its run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest

import localembed
from localembed.chunking import clean
from localembed.chunking.chunker import Chunker
from localembed.chunking.rules import ChunkRules
from localembed.core.cancellation import CancelToken, RunCancelledError
from localembed.errors import ModelChangedError
from localembed.pipeline import chunk_workers
from localembed.pipeline.chunk_workers import ChunkWorkers, OwnChunker, _Worker
from localembed.pipeline.counters import RunCounters
from localembed.pipeline.read_and_chunk import ChunkedFile
from localembed.types.documents import FileStat, SourceFile
from localembed.types.limits import Limits
from tests.conftest import PROJECT, all_rows, paragraphs
from tests.fake_backend import FakeTokenizer

pytestmark = pytest.mark.skipif(os.name != "posix", reason="looks at processes as POSIX has them")


ENDED = "the worker process that chunked it ended (signal 9); the next run retries it"
AT_ONCE = Limits(worker_start_bytes=0, worker_start_ratio=0)


class Loader:
    """Loads a chunker, in a worker as well."""

    def load(self, token):
        return Chunker(FakeTokenizer(), clean.clean, ChunkRules(16, 0), token=token)


@dataclass(frozen=True)
class EndlessLoader:
    """Loads what chunks for ever, and says in a pipe when it has begun."""

    fifo: Path

    def load(self, _token):
        def chunk(_documents):
            self.fifo.write_text("begun")
            signal.pause()

        return chunk


class BrokenLoader:
    """Finds nothing to load."""

    def load(self, _token):
        raise ModelChangedError("The tokenizer is gone.")


def workers_of(loader=None, token=None, limits=AT_ONCE, size=1, counters=None):
    """Return the workers of a run whose files have so many bytes."""
    token, counters = token or CancelToken(), counters or RunCounters()
    return ChunkWorkers(loader or Loader(), size, token, counters, limits)


def source(path: Path) -> SourceFile:
    stat = FileStat(path.stat().st_size, 0, 0, 0)
    return SourceFile("root", os.fsencode(path.parent), os.fsencode(path.name), stat, b"%016d" % 1)


def chunk_one(workers: ChunkWorkers, path: Path) -> ChunkedFile:
    return workers.chunk([(source(path), None)])[0]


def first_text(chunked: ChunkedFile) -> str:
    """Return the text of a file's first chunk."""
    assert chunked.chunked is not None, chunked.error
    return chunked.chunked.chunks[0].text


@pytest.fixture
def started(monkeypatch):
    """Have two cores, and return the worker processes that are started."""
    processes = []
    real = _Worker.__init__

    def start(self, loader):
        real(self, loader)
        processes.append(self._process)

    monkeypatch.setattr(chunk_workers, "cores", lambda: 2)
    monkeypatch.setattr(_Worker, "__init__", start)
    return processes


def test_rows_are_those_of_a_run_without_workers(workspace, notes, tmp_path, started):
    for number in range(20):
        (notes / f"{number}.md").write_text(paragraphs(30 + number % 7, f"w{number}"))
    (notes / "binary.md").write_bytes(b"\x00\x01" * 200)
    (notes / "empty.md").write_text("")
    workspace.limits = AT_ONCE

    report = workspace.index()

    count = len(started)
    assert count
    assert all(process.poll() is not None for process in started)
    other = localembed.Workspace(tmp_path / "other")
    threads = other.index([notes])
    assert len(started) == count
    mine, others = all_rows(workspace), all_rows(other)
    assert [row[1:] for row in sorted(mine, key=_place)] == [
        row[1:] for row in sorted(others, key=_place)
    ]
    assert (report.files, report.bytes) == (threads.files, threads.bytes)
    assert [note.reason for note in report.skipped] == [note.reason for note in threads.skipped]


def test_a_second_worker_starts_when_the_first_has_answered(tmp_path, started):
    (tmp_path / "a.txt").write_text("words")
    inside = threading.Barrier(2, timeout=60)
    with workers_of(size=1 << 20) as workers:
        chunk_one(workers, tmp_path / "a.txt")
        assert len(started) == 1
        real = workers._idle[0].chunk

        def wait(files):
            inside.wait()
            return real(files)

        workers._idle[0].chunk = wait
        other = threading.Thread(target=chunk_one, args=(workers, tmp_path / "a.txt"))
        other.start()
        while workers._idle:  # until the thread has the first worker
            threading.Event().wait(0.001)
        chunk_one(workers, tmp_path / "a.txt")
        assert len(started) == 2
        inside.wait()
        other.join(60)


@pytest.mark.parametrize(
    ("embedded", "seconds", "starts"),
    [(0, {}, False), (8, {"chunk": 1, "embed": 100}, False), (8, {"chunk": 2, "embed": 1}, True)],
    ids=["nothing-embedded", "slow-model", "fast-model"],
)
def test_workers_start_when_the_model_waits_for_chunks(
    tmp_path, started, embedded, seconds, starts
):
    (tmp_path / "a.txt").write_text("words")
    counters = RunCounters()
    counters.add("embedded", embedded)
    for stage, spent in seconds.items():
        counters.add_seconds(stage, spent)
    with workers_of(limits=Limits(), size=1 << 30, counters=counters) as workers:
        chunk_one(workers, tmp_path / "a.txt")
        assert len(started) == starts


def test_few_files_need_no_worker(tmp_path, started):
    (tmp_path / "a.txt").write_text("words")
    limits = replace(AT_ONCE, worker_start_bytes=6)
    with workers_of(limits=limits, size=5) as workers:
        assert first_text(chunk_one(workers, tmp_path / "a.txt")) == "words"
    assert not started


def test_a_file_that_ends_its_worker_fails_alone(workspace, notes, started, monkeypatch):
    for name in ("a", "b", "c", "d"):
        (notes / f"{name}.md").write_text(f"zebra {name}")
    workspace.limits = AT_ONCE
    real = _Worker.chunk
    requests = []

    def chunk(self, files):
        requests.append([file.path for file, _ in files])
        if b"b.md" in requests[-1]:
            self._process.kill()
            self._process.wait()
        return real(self, files)

    with monkeypatch.context() as patched:
        patched.setattr(_Worker, "chunk", chunk)
        report = workspace.index()

    everything = [b"a.md", b"b.md", b"c.md", b"d.md"]
    assert [path for path in requests[0] if path in everything] == everything
    assert report.exit_code == 3
    assert [note.reason for note in report.failures] == [ENDED]
    assert len(workspace.query("zebra", mode="text")) == 3
    assert all(process.poll() is not None for process in started)
    assert workspace.index().failures == ()
    assert len(workspace.query("zebra", mode="text")) == 4


def test_small_files_are_handed_over_together_and_large_ones_alone(
    workspace, notes, started, monkeypatch
):
    workspace.limits = AT_ONCE
    real = _Worker.chunk
    sizes = []

    def chunk(self, files):
        sizes.append([file.stat.size for file, _ in files])
        return real(self, files)

    monkeypatch.setattr(_Worker, "chunk", chunk)
    monkeypatch.setattr(OwnChunker, "chunk", chunk_and_count(OwnChunker.chunk, sizes))
    (notes / "large.md").write_text("word " * 40_000)
    for number in range(300):
        (notes / f"{number}.md").write_text("" if number % 2 else "word " * 200)

    workspace.index()

    assert started
    assert [200_000] in sizes
    assert 4 <= len(sizes) <= 12
    assert max(map(len, sizes)) <= 64
    assert all(sum(group) <= 64 << 10 for group in sizes if len(group) > 1)


def chunk_and_count(real, sizes):
    def chunk(self, files):
        sizes.append([file.stat.size for file, _ in files])
        return real(self, files)

    return chunk


def test_where_no_worker_can_begin_files_are_chunked_here(tmp_path, started, monkeypatch):
    monkeypatch.setattr(
        chunk_workers, "python", lambda _: [sys.executable, "-c", "raise SystemExit(1)"]
    )
    file = tmp_path / "a.txt"
    file.write_text("words")
    with workers_of() as workers:
        found = [chunk_one(workers, file) for _ in range(4)]
    assert [first_text(chunked) for chunked in found] == ["words"] * 4
    assert len(started) == 1


def test_a_worker_that_ended_is_replaced_or_done_without(tmp_path, started, monkeypatch):
    file = tmp_path / "a.txt"
    file.write_text("words")
    with workers_of(size=1 << 20) as workers:
        chunk_one(workers, file)
        started[0].kill()
        started[0].wait()
        assert chunk_one(workers, file).error == ENDED
        assert chunk_one(workers, file).error == ""
        assert len(started) == 2
        started[1].kill()
        started[1].wait()
        monkeypatch.setattr(subprocess, "Popen", refuse)
        assert [chunk_one(workers, file).error for _ in range(3)] == [ENDED, "", ""]


def test_workers_find_modules_where_their_parent_does(tmp_path):
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
        "from tests.test_chunk_workers import chunk_one, workers_of\n"
        "chunk_workers.cores = lambda: 2\n"
        "with workers_of(size=1 << 30) as workers:\n"
        "    assert workers.at_once == 2\n"
        f"    found = chunk_one(workers, Path({str(tmp_path / 'docs' / 'a.txt')!r}))\n"
        "    assert workers._all\n"
        "    print(found.error or found.chunked.chunks[0].text)\n"
    )
    for flags in ((), ("-E",)):
        env = {**os.environ, "PYTHONPATH": str(stray.parent)}
        done = subprocess.run(
            [sys.executable, *flags, str(script)],
            env=env, cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.stdout, done.stderr) == ("words\n", "")


def test_what_a_worker_raises_is_raised_here(tmp_path, started):
    file = tmp_path / "a.txt"
    file.write_text("words")
    with workers_of(BrokenLoader()) as workers, pytest.raises(ModelChangedError, match="gone"):
        chunk_one(workers, file)
    assert started


def test_workers_end_when_the_run_is_over(tmp_path, started):
    file, fifo = tmp_path / "a.txt", tmp_path / "fifo"
    file.write_text("words")
    os.mkfifo(fifo)
    token, cancelled = CancelToken(), []

    def chunk(workers):
        try:
            chunk_one(workers, file)
        except RunCancelledError:
            cancelled.append(True)

    with workers_of(EndlessLoader(fifo), token=token) as workers:
        thread = threading.Thread(target=chunk, args=(workers,))
        thread.start()
        assert fifo.read_text() == "begun"
        token.cancel()
        thread.join(60)
        assert cancelled == [True]
        with pytest.raises(RunCancelledError):
            chunk_one(workers, file)
    assert len(started) == 1
    assert all(process.poll() is not None for process in started)


def refuse(*_arguments, **_options):
    raise BlockingIOError(11, "Resource temporarily unavailable")


def test_without_processes_there_are_threads(tmp_path, monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", refuse)
    monkeypatch.setattr(chunk_workers, "cores", lambda: 2)
    file = tmp_path / "a.txt"
    file.write_text("words")
    with workers_of() as workers:
        assert first_text(chunk_one(workers, file)) == "words"


def test_no_worker_outlives_a_killed_run(tmp_path):
    """They stand in groups of their own, where Ctrl-C of a terminal does not reach them either."""
    script = (
        "import time\n"
        "from localembed.pipeline.chunk_workers import _Worker\n"
        "from tests.test_chunk_workers import Loader\n"
        "workers = [_Worker(Loader()) for _ in range(2)]\n"
        "print(*(worker._process.pid for worker in workers), flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=PROJECT
    ) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert [os.getpgid(pid) for pid in pids] == pids
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    deadline = time.monotonic() + 20
    while any(map(partial(_lives), pids)):
        assert time.monotonic() < deadline, "a worker is still there"
        time.sleep(0.05)


def _lives(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


def _place(row):
    """Return path and start: a chunk's id says which root it is of."""
    return row[2:4]
