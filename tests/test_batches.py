"""How many chunks are committed at once: what a kill can cost, by the speed of embedding."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from localembed.pipeline.counters import RunCounters
from localembed.pipeline.windows import CommitTimes, WindowSize
from localembed.types.events import Step
from localembed.types.limits import Limits
from tests import fake_backend
from tests.conftest import paragraphs

LIMITS = Limits()
FIRST, MEDIUM, LARGE = (
    LIMITS.first_batch_chunks, LIMITS.batch_chunks, LIMITS.large_batch_chunks
)  # fmt: skip


def counters(tokens_per_second=0, *, reuses=False):
    counted = RunCounters()
    if tokens_per_second:
        counted.measure_speed(tokens_per_second, 1.0, reuses=reuses)
    return counted


def chunks_of_a_window(seen, seconds=15.0, tokens=100, size=300, limits=LIMITS):
    """Return how many chunks of so many tokens and bytes fill a window."""
    times, window = CommitTimes(limits, seen, seconds), WindowSize()
    while not times.is_full(window):
        window.chunks += 1
        window.tokens += tokens
        window.bytes += size
    return window.chunks


@pytest.mark.parametrize(
    ("seen", "chunks"),
    [
        (counters(), FIRST),
        (counters(1_000), 150),
        (counters(100), 15),
        (counters(1), 1),
        (counters(20_000), 3_000),
        (counters(10_000_000), LARGE),
        (counters(10_000_000, reuses=True), MEDIUM),
        (counters(1_000, reuses=True), 150),
    ],
)
def test_a_window_is_what_is_embedded_between_two_commits(seen, chunks):
    assert chunks_of_a_window(seen) == chunks


@pytest.mark.parametrize(("minutes", "chunks"), [(1, 150), (25, 150), (50, 300), (600, 3600)])
def test_commits_are_rarer_in_a_long_run(monkeypatch, minutes, chunks):
    seen = counters(1_000)
    monkeypatch.setattr(RunCounters, "elapsed", lambda _: minutes * 60)
    assert chunks_of_a_window(seen) == chunks


@pytest.mark.parametrize("seen", [counters(), counters(1_000), counters(10_000_000)])
def test_the_windows_of_a_remote_model_have_one_size(seen):
    assert chunks_of_a_window(seen, seconds=0) == MEDIUM


def test_a_window_is_bounded_by_the_bytes_of_its_files():
    seen = counters(10_000_000)
    assert chunks_of_a_window(seen, size=1000) == -(-LIMITS.large_batch_bytes // 1000)
    assert chunks_of_a_window(seen, size=LIMITS.large_batch_bytes) == MEDIUM


@pytest.fixture
def takes(fake, monkeypatch):
    """Let embedding take so many seconds a chunk, and nothing else take any."""
    now = [0.0]
    for module in ("counters", "reuse"):
        clock = SimpleNamespace(perf_counter=lambda: now[0])
        monkeypatch.setattr(f"localembed.pipeline.{module}.time", clock)
    monkeypatch.setattr(
        "localembed.pipeline.timed_embedding.time", SimpleNamespace(monotonic=lambda: now[0])
    )

    load_model = fake_backend.FakeBackend.load

    def let(seconds, batch=1000, load_seconds=0):
        """Let a chunk and loading take so many seconds, and a batch have so many chunks."""

        def load(*how):
            now[0] += load_seconds
            return load_model(*how)

        monkeypatch.setattr(fake_backend.FakeBackend, "load", load)
        monkeypatch.setattr(fake, "batch_size", batch)

        def wait(chunks):
            now[0] += seconds * chunks

        monkeypatch.setattr(fake, "wait", staticmethod(wait))

    return let


def sizes(workspace, notes):
    """Index, and return how many chunks each batch had."""
    counts = []
    workspace.index(
        [notes],
        on_event=lambda event: counts.append(event.count) if event.step is Step.ADDED else None,
    )
    return counts


def write(notes, files):
    for n in files:
        (notes / f"{n:03}.md").write_text(paragraphs(5, f"f{n}"))


@pytest.fixture
def small(workspace):
    workspace.limits = Limits(first_batch_chunks=4, batch_chunks=10, large_batch_chunks=40)


def test_batches_grow_where_embedding_is_cheap(workspace, notes, takes, small):
    write(notes, range(60))
    takes(0.001)
    found = sizes(workspace, notes)
    assert found[0] < 10
    assert max(found) >= 40


def test_batches_stay_small_where_embedding_is_slow(workspace, notes, takes, small):
    write(notes, range(60))
    takes(3)
    assert max(sizes(workspace, notes)[2:]) <= 10


def test_the_first_rows_are_committed_before_a_second_window_is_embedded(workspace, notes, takes):
    """Readers have something to find soon after the first vectors."""
    write(notes, range(60))
    takes(1)
    assert max(sizes(workspace, notes)[:2]) < 2 * FIRST


def test_batches_are_bounded_by_the_bytes_of_their_files(workspace, notes, takes, small):
    takes(0.001)
    workspace.limits = replace(workspace.limits, large_batch_bytes=1)
    write(notes, range(60))
    assert max(sizes(workspace, notes)) < 20


def test_loading_the_model_says_nothing_of_its_speed(workspace, notes, takes, small):
    write(notes, range(60))
    takes(0.001, load_seconds=600)
    assert sizes(workspace, notes)[2] >= 40


def test_vectors_that_were_found_say_nothing_of_a_models_speed(workspace, notes, takes, small):
    write(notes, range(60))
    workspace.index([notes])
    for path in sorted(notes.glob("*.md")):
        path.rename(notes / f"a{path.name}")
    (notes / "b").mkdir()
    write(notes / "b", range(60, 90))
    takes(3)
    assert max(sizes(workspace, notes)) < 20
