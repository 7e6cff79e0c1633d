"""Three stages at once: order, bounds, and an orderly end whichever of them fails."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from localembed.core.cancellation import CancelToken, RunCancelledError
from localembed.pipeline import stage_threads
from localembed.pipeline.stage_threads import run_stages

PATIENCE = 60
"""Seconds to wait for what must happen; only a broken run takes as long."""


class Stages(NamedTuple):
    """The stages of a run, as functions."""

    embed: Callable[[Any], Any]
    write: Callable[[Any], Any]


def numbers(count, made=None):
    for number in range(count):
        if made is not None:
            made.append(number)
        yield number


@pytest.fixture
def steps(monkeypatch):
    """Replace threads by work that is done when its result is asked for; return what happened."""
    happened = []

    class Lazy(Future[object]):
        def __init__(self, stage, number, work):
            super().__init__()
            self._step, self._work = (stage, number), work

        def result(self, timeout=None):
            if not self.done():
                self.set_result(self._work())
                happened.append((*self._step, "done"))
            return super().result(timeout)

    class Executor:
        def __init__(self, _count, name):
            self._stage, self._submitted = name.removeprefix("localembed-"), 0

        def __enter__(self):
            return self

        def __exit__(self, *_error):
            return None

        def shutdown(self):
            """Have no thread to wait for."""

        def submit(self, function, *arguments):
            number, self._submitted = self._submitted, self._submitted + 1
            happened.append((self._stage, number, "begun"))
            return Lazy(self._stage, number, lambda: function(*arguments))

    monkeypatch.setattr(stage_threads, "ThreadPoolExecutor", Executor)
    monkeypatch.setattr(
        stage_threads, "wait", lambda _futures, _seconds: SimpleNamespace(done=True)
    )
    return happened


def test_windows_come_through_in_order():
    written: list[int] = []
    run_stages(numbers(20), Stages(lambda n: n * 2, written.append), CancelToken())
    assert written == [n * 2 for n in range(20)]


def test_nothing_to_read_is_no_error():
    run_stages(iter(()), Stages(pytest.fail, pytest.fail), CancelToken())


def test_reading_is_one_window_ahead_and_writing_one_behind(steps):
    def embed(number):
        steps.append(("embed", number, "done"))
        return number

    run_stages(numbers(6), Stages(embed, lambda _: None), CancelToken())

    place = {step: place for place, step in enumerate(steps)}
    for n in range(6):
        embedded = place["embed", n, "done"]
        assert place["read", n, "done"] < place["read", n + 1, "begun"] < embedded
        assert embedded < place["read", n + 1, "done"]
        assert embedded < place["write", n, "begun"] < place["write", n, "done"]
        if n:
            assert place["write", n - 1, "begun"] < embedded < place["write", n - 1, "done"]
            assert place["write", n - 1, "done"] < place["write", n, "begun"]


def test_stages_run_at_the_same_time():
    together = threading.Barrier(3, timeout=PATIENCE)

    def read():
        for number in range(3):
            if number == 2:
                together.wait()
            yield number

    def embed(number):
        if number == 1:
            together.wait()
        return number

    def write(number):
        if number == 0:
            together.wait()

    run_stages(read(), Stages(embed, write), CancelToken())


def test_an_error_while_reading_comes_after_what_was_read_is_written():
    written: list[int] = []

    def read():
        yield 1
        yield 2
        raise OSError("a disk is gone")

    with pytest.raises(OSError, match="disk"):
        run_stages(read(), Stages(lambda n: n, written.append), CancelToken())
    assert written == [1, 2]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_while_embedding_comes_after_what_was_embedded_is_written(error):
    written, stop, cancelled = [], CancelToken(), threading.Event()
    stop.on_cancel(cancelled.set)

    def embed(number):
        if number == 3:
            raise error
        return number

    def write(number):
        assert number < 2 or cancelled.wait(PATIENCE)
        written.append(number)

    with pytest.raises(error):
        run_stages(numbers(10), Stages(embed, write), stop)
    assert written == [0, 1, 2]


def test_an_interrupted_caller_leaves_after_what_is_embedded_is_written():
    """Ctrl-C is raised in the thread that waits, and in the middle of no stage."""
    written: list[int] = []
    stop, embedding = CancelToken(), threading.Event()

    def read():
        yield from range(2)
        stop.raise_if_cancelled()
        pytest.fail("reading went on")

    def embed(number):
        if number == 1:
            embedding.set()
            while not stop.is_cancelled:
                time.sleep(0.01)
        return number

    def interrupt():
        assert embedding.wait(PATIENCE)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    others = set(threading.enumerate())
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        run_stages(read(), Stages(embed, written.append), stop)
    thread.join()
    assert written == [0, 1]
    assert set(threading.enumerate()) - others == set()


def test_an_error_while_writing_ends_the_run_and_nothing_more_is_written():
    made: list[int] = []
    written: list[int] = []

    def write(number):
        if number == 1:
            raise OSError("No space left")
        written.append(number)

    with pytest.raises(OSError, match="space"):
        run_stages(numbers(50, made), Stages(lambda n: n, write), CancelToken())
    assert written == [0]
    assert len(made) < 8


def test_an_error_in_the_last_write_is_not_lost():
    def write(_number):
        raise OSError("No space left")

    with pytest.raises(OSError, match="space"):
        run_stages(numbers(1), Stages(lambda n: n, write), CancelToken())


def test_reading_ahead_gives_up_when_the_run_is_over():
    stop, cancelled, gave_up = CancelToken(), threading.Event(), []
    stop.on_cancel(cancelled.set)

    def read():
        yield 1
        assert cancelled.wait(PATIENCE)
        try:
            stop.raise_if_cancelled()
        except RunCancelledError:
            gave_up.append(True)
            raise

    def embed(_number):
        raise ValueError("no vector")

    others = set(threading.enumerate())
    with pytest.raises(ValueError, match="no vector"):
        run_stages(read(), Stages(embed, pytest.fail), stop)
    assert gave_up == [True]
    assert set(threading.enumerate()) - others == set()
