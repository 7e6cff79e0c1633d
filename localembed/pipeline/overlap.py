"""Three stages at once: while one window is embedded, the next is read and the last is written.

Each stage has one thread and hands over one window at a time, so at most four are in memory. The
calling thread embeds, since Ctrl-C reaches it there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from typing import TypeVar

Window = TypeVar("Window")
Batch = TypeVar("Batch")


class StoppedError(Exception):
    """The run is over; a stage that works ahead gives up."""


class Stop:
    """Tells the stage that reads ahead to give up."""

    def __init__(self) -> None:
        """Begin with nothing said."""
        self._said = Event()

    def say(self) -> None:
        """Let the next check raise."""
        self._said.set()

    def check(self) -> None:
        """Raise if the run is over.

        Raises:
            StoppedError: always then; nobody waits for what would have come.
        """
        if self._said.is_set():
            raise StoppedError


def overlap(
    windows: Iterator[Window],
    embed: Callable[[Window], Batch],
    write: Callable[[Batch], None],
    stop: Stop,
) -> None:
    """Run every window through all stages, in order.

    What a stage raises is raised here, after the writer has finished what it was given: what was
    embedded is not lost by Ctrl-C or by a file that cannot be read.

    Args:
        windows: read and cut in a thread of their own, one ahead.
        embed: called in this thread.
        write: called in a thread of its own, one behind, in order.
        stop: said when anything goes wrong, so that reading ahead ends soon.
    """
    with (
        ThreadPoolExecutor(1, "localembed-read") as reader,
        ThreadPoolExecutor(1, "localembed-write") as writer,
    ):
        try:
            upcoming = reader.submit(next, windows, None)
            written: Future[None] | None = None
            while (window := upcoming.result()) is not None:
                upcoming = reader.submit(next, windows, None)
                batch = embed(window)
                if written is not None:
                    written.result()
                written = writer.submit(write, batch)
            if written is not None:
                written.result()
        except BaseException:
            stop.say()
            raise
