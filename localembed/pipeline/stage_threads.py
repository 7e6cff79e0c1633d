"""Three stages at once: while one window is embedded, the next is read and the last is written.

Each stage has one thread and workers over one window at a time, so at most four are in memory. The
calling thread embeds, since Ctrl-C reaches it there. Where a server embeds, several windows are
asked for at once, so that one slow answer holds up none of the others.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from typing import TypeVar

Window = TypeVar("Window")
Batch = TypeVar("Batch")


class RunCancelledError(Exception):
    """The run is over; a stage that works ahead gives up."""


class CancelToken:
    """Tells the stage that reads ahead to give up."""

    def __init__(self) -> None:
        """Begin with nothing said."""
        self._cancelled = Event()
        self._on_cancel: list[Callable[[], None]] = []

    def on_cancel(self, call: Callable[[], None]) -> None:
        """Have something called when it is said, for a stage that waits for others."""
        self._on_cancel.append(call)

    def cancel(self) -> None:
        """Let the next check raise."""
        self._cancelled.set()
        for call in self._on_cancel:
            call()

    def raise_if_cancelled(self) -> None:
        """Raise if the run is over.

        Raises:
            RunCancelledError: always then; nobody waits for what would have come.
        """
        if self._cancelled.is_set():
            raise RunCancelledError


def overlap(
    windows: Iterator[Window],
    embed: Callable[[Window], Batch],
    write: Callable[[Batch], None],
    stop: CancelToken,
    at_once: int = 1,
) -> None:
    """Run every window through all stages, in order.

    What a stage raises is raised here, after the writer has finished what it was given: what was
    embedded is not lost by Ctrl-C or by a file that cannot be read.

    Args:
        windows: read and cut in a thread of their own, one ahead.
        embed: called in this thread, or in as many others as windows are embedded at once.
        write: called in a thread of its own, one behind, in order.
        stop: said when anything goes wrong, so that reading ahead ends soon.
        at_once: windows that are embedded side by side, where others do the work.
    """
    with (
        ThreadPoolExecutor(1, "localembed-read") as reader,
        ThreadPoolExecutor(1, "localembed-write") as writer,
        ThreadPoolExecutor(at_once, "localembed-embed") as pool,
    ):
        begin = pool.submit if at_once > 1 else _at_once
        begun: deque[Future[Batch]] = deque()
        try:
            upcoming = reader.submit(next, windows, None)
            written: Future[None] | None = None
            while (window := upcoming.result()) is not None or begun:
                if window is not None:
                    upcoming = reader.submit(next, windows, None)
                    begun.append(begin(embed, window))
                if window is None or len(begun) == at_once:
                    batch = begun.popleft().result()
                    if written is not None:
                        written.result()
                    written = writer.submit(write, batch)
            if written is not None:
                written.result()
        except BaseException:
            stop.cancel()
            raise


def _at_once(embed: Callable[[Window], Batch], window: Window) -> Future[Batch]:
    """Embed in the calling thread, where Ctrl-C arrives."""
    done: Future[Batch] = Future()
    done.set_result(embed(window))
    return done
