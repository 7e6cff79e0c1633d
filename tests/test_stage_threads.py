"""Three stages at once: order, bounds, and an orderly end whichever of them fails."""

from __future__ import annotations

import threading
import time

import pytest

from localembed.pipeline.stage_threads import CancelToken, RunCancelledError, overlap


def numbers(count, made=None, stop=None):
    for number in range(count):
        if stop:
            stop.raise_if_cancelled()
        if made is not None:
            made.append(number)
        yield number


def test_windows_come_through_in_order():
    written = []
    overlap(numbers(20), lambda n: n * 2, written.append, CancelToken())
    assert written == [n * 2 for n in range(20)]


def test_nothing_to_read_is_no_error():
    overlap(iter(()), pytest.fail, pytest.fail, CancelToken())


def test_reading_is_one_window_ahead_and_writing_one_behind():
    made, written, seen = [], [], []

    def embed(number):
        time.sleep(0.02)
        seen.append((len(made), len(written)))
        return number

    overlap(numbers(6, made), embed, written.append, CancelToken())

    assert [ahead for ahead, _ in seen] == [min(n + 2, 6) for n in range(6)]
    assert [behind for _, behind in seen] == [0, 1, 2, 3, 4, 5]


def test_stages_run_at_the_same_time():
    together = threading.Barrier(3, timeout=20)

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

    overlap(read(), embed, write, CancelToken())


def test_an_error_while_reading_comes_after_what_was_read_is_written():
    written = []

    def read():
        yield 1
        yield 2
        raise OSError("a disk is gone")

    with pytest.raises(OSError, match="disk"):
        overlap(read(), lambda n: n, written.append, CancelToken())
    assert written == [1, 2]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_while_embedding_comes_after_what_was_embedded_is_written(error):
    written, stop = [], CancelToken()

    def embed(number):
        if number == 3:
            raise error
        return number

    def write(number):
        time.sleep(0.02)
        written.append(number)

    with pytest.raises(error):
        overlap(numbers(10), embed, write, stop)
    assert written == [0, 1, 2]


def test_an_error_while_writing_ends_the_run_and_nothing_more_is_written():
    made, written = [], []

    def write(number):
        if number == 1:
            raise OSError("No space left")
        written.append(number)

    with pytest.raises(OSError, match="space"):
        overlap(numbers(50, made), lambda n: n, write, CancelToken())
    assert written == [0]
    assert len(made) < 8


def test_an_error_in_the_last_write_is_not_lost():
    def write(_number):
        raise OSError("No space left")

    with pytest.raises(OSError, match="space"):
        overlap(numbers(1), lambda n: n, write, CancelToken())


def test_reading_ahead_gives_up_when_the_run_is_over():
    stop, gave_up = CancelToken(), []

    def read():
        yield 1
        try:
            while True:
                time.sleep(0.001)
                stop.raise_if_cancelled()
        except RunCancelledError:
            gave_up.append(True)
            raise

    def embed(_number):
        raise ValueError("no vector")

    begin, others = time.monotonic(), set(threading.enumerate())
    with pytest.raises(ValueError, match="no vector"):
        overlap(read(), embed, pytest.fail, stop)
    assert gave_up == [True]
    assert time.monotonic() - begin < 20
    assert set(threading.enumerate()) - others == set()
