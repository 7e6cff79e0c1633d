"""The rate and the time left that a run shows are those of its model, once it is loaded."""

from __future__ import annotations

import sys

import pytest

from localembed.cli.render.progress import IndexProgress
from localembed.pipeline.progress import RunProgress
from localembed.types.events import RunEvent, Step

BEFORE = ((Step.FILES, 10), (Step.FILE, 1), (Step.TOTAL, 1000))


@pytest.fixture
def clock(monkeypatch):
    """A clock that only the test moves."""
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    monkeypatch.setattr("tqdm.std.time", lambda: now[0])
    return now


@pytest.mark.parametrize("reused", [0, 200])
def test_a_heartbeat_does_not_count_loading_the_model(clock, reused):
    progress = RunProgress()
    for step, count in (*BEFORE, (Step.REUSED, reused)):
        progress.take(RunEvent(step, count))
    for _ in range(20):
        assert progress.is_due()
        assert progress.facts()["seconds_left"] is None
        clock[0] += 1
    for _ in range(10):
        progress.take(RunEvent(Step.EMBEDDED, 10))
        clock[0] += 1
        assert progress.is_due()
    facts = progress.facts()
    assert facts["chunks"] == reused + 100
    assert facts["chunks_per_second"] == 10.0
    assert facts["seconds_left"] == (900 - reused) / 10


@pytest.mark.parametrize("reused", [0, 200])
def test_the_bar_does_not_count_loading_the_model(clock, monkeypatch, reused):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with IndexProgress(enabled=True) as progress:
        for step, count in (*BEFORE, (Step.REUSED, reused)):
            progress(RunEvent(step, count))
        clock[0] += 20
        progress(RunEvent(Step.EMBEDDED, 10))
        for _ in range(9):
            clock[0] += 1
            progress(RunEvent(Step.EMBEDDED, 10))
        assert progress._bar is not None
        shown = progress._bar.format_dict
    assert shown["n"] == reused + 100
    assert shown["elapsed"] == 9
    assert shown["rate"] == pytest.approx(10, rel=0.2)


def test_the_bar_shows_no_time_left_before_the_rate_is_known(clock, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with IndexProgress(enabled=True) as progress:
        for step, count in (*BEFORE, (Step.EMBEDDED, 16)):
            progress(RunEvent(step, count))
        assert progress._bar is not None
        for seconds in (0.001, 0.5, 2.0):
            clock[0] += seconds
            assert "<" not in str(progress._bar)
            progress(RunEvent(Step.EMBEDDED, 16))
            assert "<" not in str(progress._bar)
        clock[0] += 2
        progress(RunEvent(Step.EMBEDDED, 16))
        assert "<" in str(progress._bar)


@pytest.mark.parametrize("passed", [0.0, 1e-6, 0.5])
def test_a_heartbeat_right_after_the_first_vectors_has_no_rate(clock, passed):
    progress = RunProgress()
    for step, count in (*BEFORE, (Step.EMBEDDED, 16)):
        progress.take(RunEvent(step, count))
    clock[0] += passed
    assert progress.is_due()
    facts = progress.facts()
    assert (facts["chunks_per_second"], facts["seconds_left"]) == (0.0, None)
