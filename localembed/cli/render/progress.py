"""The progress bar of `index`, on stderr and only on a terminal."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING

from localembed.cli.render.output import echo, progress_bar
from localembed.types.events import RunEvent, Step

if TYPE_CHECKING:
    from tqdm import tqdm  # noqa: TID251 - only the type


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
            self._bar = progress_bar(shown=True)(unit=" chunks", desc="reading")
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
            self._begin()
            self._bar.update(event.count)
        elif event.step is Step.ENDING:
            self._end_early()

    def _begin(self) -> None:
        """Start the clock at the first vectors: loading the model says nothing about the rest."""
        if self._bar is not None and not self._embedding:
            self._embedding = True
            self._bar.set_description("embedding", refresh=False)
            self._bar.start_t = self._bar.last_print_t = self._bar._time()
            self._bar.initial = self._bar.last_print_n = self._bar.n

    def _end_early(self) -> None:
        """Say what the command waits for after Ctrl-C."""
        if self._bar is not None and not self._ending:
            self._ending = True
            self._bar.close()
            echo("Saving what is embedded; press Ctrl-C again to leave at once.", err=True)
