"""Three stages at once: while one window is embedded, the next is read and the last is written.

Each stage has one thread and passes on one window at a time, so at most four are in memory. With a
remote model, several windows are in flight at once, so that a slow answer does not delay the
others. The calling thread only waits: Ctrl-C interrupts that one, and never the middle of a stage.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Protocol, TypeVar

from localembed.core.cancellation import CancelToken

_WAKE_SECONDS = 0.1
"""Time after which the waiting thread looks for signals: on Windows, and if another thread of this
process received it, a signal does not end the wait."""

Window = TypeVar("Window")
Batch = TypeVar("Batch")
Read = TypeVar("Read", contravariant=True)


class Stages(Protocol[Read, Batch]):
    """The stages of a window after it is read."""

    def embed(self, window: Read, /) -> Batch:
        """Return the window with its vectors; called by one thread per window in flight."""

    def write(self, batch: Batch, /) -> None:
        """Write a window; called by one thread, in order."""


def run_stages(
    windows: Iterator[Window],
    stages: Stages[Window, Batch],
    token: CancelToken,
    at_once: int = 1,
) -> None:
    """Run every window through all stages, in order.

    Exceptions of a stage are raised here, after what is embedded was written: vectors are not lost
    by Ctrl-C or by a file that cannot be read. After a failed write, nothing more is written.

    Args:
        windows: read and chunked in another thread, one ahead.
        stages: embed in another thread, or in `at_once` of them; write in another, one behind, in
            order.
        token: cancelled on any error, and if the calling thread is interrupted, so that reading
            and embedding end soon.
        at_once: number of windows to embed concurrently; more than one for a remote model.
    """
    thread = ThreadPoolExecutor(1, "localembed-stages")
    try:
        running = thread.submit(_run, windows, stages, token, at_once)
        while not wait([running], _WAKE_SECONDS).done:
            pass
        running.result()
    except BaseException:
        token.cancel()
        raise
    finally:
        thread.shutdown()


def _run(
    windows: Iterator[Window], stages: Stages[Window, Batch], token: CancelToken, at_once: int
) -> None:
    """Coordinate the stages, and embed if one window is embedded at a time."""
    with (
        ThreadPoolExecutor(1, "localembed-read") as reader,
        ThreadPoolExecutor(1, "localembed-write") as writer,
        ThreadPoolExecutor(at_once, "localembed-embed") as pool,
    ):
        submit = pool.submit if at_once > 1 else _run_now
        embedding: deque[Future[Batch]] = deque()
        written: Future[None] | None = None
        try:
            upcoming = reader.submit(next, windows, None)
            while (window := upcoming.result()) is not None or embedding:
                if window is not None:
                    upcoming = reader.submit(next, windows, None)
                    embedding.append(submit(stages.embed, window))
                if window is None or len(embedding) == at_once:
                    batch = embedding.popleft().result()
                    if written is not None:
                        written.result()
                    written = writer.submit(stages.write, batch)
            if written is not None:
                written.result()
        except BaseException:
            token.cancel()
            if written is None or written.exception() is None:
                for future in embedding:
                    if future.exception() is None:
                        stages.write(future.result())
            raise


def _run_now(embed: Callable[[Window], Batch], window: Window) -> Future[Batch]:
    """Embed in the thread that coordinates."""
    done: Future[Batch] = Future()
    done.set_result(embed(window))
    return done
