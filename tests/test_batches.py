"""How many chunks are committed at once: what a kill can cost."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from localembed.pipeline.counters import RunCounters
from localembed.pipeline.run import WindowSizes
from localembed.types.events import Step
from localembed.types.limits import Limits
from tests.conftest import paragraphs

LIMITS = Limits()
SMALL, LARGE = LIMITS.batch_chunks, LIMITS.large_batch_chunks


def counters(embedded=0, reused=0, seconds=0.0):
    counted = RunCounters()
    counted.add("embedded", embedded)
    counted.add("reused", reused)
    counted.add_seconds("embed", seconds)
    return counted


@pytest.mark.parametrize(
    ("seen", "chunks"),
    [
        (counters(), SMALL),
        (counters(embedded=2048, seconds=20), SMALL),
        (counters(embedded=2048, seconds=0.2), LARGE),
        (counters(embedded=3000, seconds=1.5), 4000),
        (counters(reused=5000), SMALL),
        (counters(embedded=100, reused=5000, seconds=2), SMALL),
    ],
)
def test_a_batch_is_two_seconds_of_embedding(seen, chunks):
    assert WindowSizes(LIMITS, seen, may_grow=True).chunks == chunks
    assert WindowSizes(LIMITS, seen, may_grow=False).chunks == SMALL


@pytest.fixture
def small(workspace):
    """Batches of 10 chunks, 40 where embedding is cheap."""
    workspace.limits = Limits(batch_chunks=10, large_batch_chunks=40)


@pytest.fixture
def takes(fake, monkeypatch):
    """Let embedding take so many seconds a chunk, and nothing else take any."""
    now = [0.0]
    monkeypatch.setattr(
        "localembed.pipeline.counters.time", SimpleNamespace(perf_counter=lambda: now[0])
    )
    embed_documents = fake.embed_documents

    def let(seconds):
        def embed(embedder, inputs, *rest):
            now[0] += seconds * len(inputs)
            return embed_documents(embedder, inputs, *rest)

        monkeypatch.setattr(fake, "embed_documents", embed)

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


def test_batches_grow_where_embedding_is_cheap(workspace, notes, takes, small):
    write(notes, range(60))
    takes(0.001)
    found = sizes(workspace, notes)
    assert found[0] < 20
    assert max(found) >= 40


def test_batches_stay_small_where_embedding_is_slow(workspace, notes, takes, small):
    write(notes, range(60))
    takes(1)
    assert max(sizes(workspace, notes)) < 20


def test_batches_are_bounded_by_the_bytes_of_their_files(workspace, notes, takes, small):
    takes(0.001)
    workspace.limits = replace(workspace.limits, large_batch_bytes=1)
    write(notes, range(60))
    assert max(sizes(workspace, notes)) < 20


def test_vectors_that_were_found_say_nothing_of_a_models_speed(workspace, notes, takes, small):
    write(notes, range(60))
    workspace.index([notes])
    for path in sorted(notes.glob("*.md")):
        path.rename(notes / f"a{path.name}")
    (notes / "b").mkdir()
    write(notes / "b", range(60, 90))
    takes(1)
    assert max(sizes(workspace, notes)) < 20
