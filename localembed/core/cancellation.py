"""Telling work in other threads that its result is no longer needed."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event


class RunCancelledError(Exception):
    """The run is over; work that is ahead of it stops."""


class CancelToken:
    """Tells everything that works ahead to stop."""

    def __init__(self) -> None:
        """Start uncancelled."""
        self._cancelled = Event()
        self._on_cancel: list[Callable[[], None]] = []

    def on_cancel(self, call: Callable[[], None]) -> None:
        """Have something called on cancellation, for work that waits for something else."""
        self._on_cancel.append(call)

    def cancel(self) -> None:
        """Let the next check raise."""
        self._cancelled.set()
        for call in self._on_cancel:
            call()

    @property
    def is_cancelled(self) -> bool:
        """Whether the run is over."""
        return self._cancelled.is_set()

    def raise_if_cancelled(self) -> None:
        """Stop if the run is over.

        Raises:
            RunCancelledError: it is; no result is waited for.
        """
        if self._cancelled.is_set():
            raise RunCancelledError
