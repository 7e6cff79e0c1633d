"""The progress of `index`: on stderr, and only to a terminal."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING

from localembed.cli.render.text import width

if TYPE_CHECKING:
    from tqdm import tqdm


class IndexProgress:
    """Turns the events of a run into a bar of chunks, with files beside it and an ETA."""

    def __init__(self, *, enabled: bool) -> None:
        """Prepare; nothing is shown before there is something to read."""
        self._enabled = enabled and sys.stderr.isatty()
        self._bar: tqdm[None] | None = None
        self._files = self._cut_files = self._cut_chunks = 0

    def __enter__(self) -> IndexProgress:
        """Return itself."""
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """Take the bar away."""
        self.close()

    def close(self) -> None:
        """Take the bar away before something is printed."""
        if self._bar is not None:
            self._bar.close()

    def __call__(self, name: str, count: int) -> None:
        """Take one event (see `pipeline.run.run`)."""
        if name == "files" and count and self._enabled:
            from tqdm import tqdm

            self._files = count
            self._bar = tqdm(
                unit=" chunks", file=sys.stderr, leave=False, ncols=width(), desc="reading"
            )
        if self._bar is None:
            return
        if name == "file":
            self._cut_files += 1
        elif name == "cut":
            self._cut_chunks += count
            self._estimate()
        elif name == "chunks":
            self._bar.set_description("embedding", refresh=False)
            self._bar.update(count)

    def _estimate(self) -> None:
        """Guess the number of chunks by those of the files that were cut so far."""
        if self._bar is None:
            return
        self._bar.total = round(self._cut_chunks * self._files / max(1, self._cut_files))
        self._bar.set_postfix_str(f"{self._cut_files}/{self._files} files", refresh=False)
        self._bar.update(0)
