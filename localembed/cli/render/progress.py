"""The progress bar of `index`, on stderr and only on a terminal."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING

from localembed.cli.render.output import echo, progress_bar
from localembed.types.events import RunEvent, Step

if TYPE_CHECKING:
    from tqdm import tqdm  # noqa: TID251 - only the type


_RATE_SECONDS = 3.0
"""Seconds of embedding from which the rate, and the time left, are known."""
_WITHOUT_RATE = "{l_bar}{bar}| {n_fmt}/{total_fmt}{unit} [{elapsed}{postfix}]"


class IndexProgress:
    """Progress bar of a run: chunks done, files chunked and an ETA."""

    def __init__(self, *, enabled: bool) -> None:
        """Prepare the bar; it appears once there are files to read."""
        self._enabled = enabled and sys.stderr.isatty()
        self._bar: tqdm[None] | None = None
        self._files = self._read_files = 0
        self._embedding = self._ending = False

    def __enter__(self) -> IndexProgress:
        """Return itself."""
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """Remove the bar."""
        self.close()

    def close(self) -> None:
        """Remove the bar before anything is printed."""
        if self._bar is not None:
            self._bar.close()

    def __call__(self, event: RunEvent) -> None:
        """Take one event of a run."""
        if event.step is Step.FILES and event.count and self._enabled:
            self._files = event.count
            self._bar = progress_bar(shown=True)(
                unit=" chunks", desc="reading", bar_format=_WITHOUT_RATE
            )
        if self._bar is None:
            return
        if event.step is Step.FILE:
            self._read_files += 1
        elif event.step is Step.TOTAL:
            self._bar.total = event.count
            self._bar.set_postfix_str(f"{self._read_files}/{self._files} files", refresh=False)
            self._bar.update(0)
        elif event.step is Step.REUSED:
            self._bar.n += event.count  # not `update`, which would count it as the model's speed
        elif event.step is Step.EMBEDDED:
            self._embedded(event.count)
        elif event.step is Step.ENDING:
            self._end_early()

    def _embedded(self, count: int) -> None:
        """Count vectors; the clock starts after the first, since loading tells no rate.

        No time is shown until a few seconds have passed: two batches are a bad estimate.
        """
        bar = self._bar
        if bar is None:
            return
        if not self._embedding:
            self._embedding = True
            bar.set_description("embedding", refresh=False)
            bar.n += count
            bar.start_t = bar.last_print_t = bar._time()
            bar.initial = bar.last_print_n = bar.n
            bar.refresh()
            return
        if bar._time() - bar.start_t >= _RATE_SECONDS:
            bar.bar_format = None
        bar.update(count)

    def _end_early(self) -> None:
        """Say what the command waits for after Ctrl-C."""
        if self._bar is not None and not self._ending:
            self._ending = True
            self._bar.close()
            echo("Saving what is embedded; press Ctrl-C again to leave at once.", err=True)
