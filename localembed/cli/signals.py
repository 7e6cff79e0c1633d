"""Signals that end a command early: Ctrl-C, SIGTERM and SIGHUP raise wherever it is.

A run then saves what it has embedded, which takes as long as one batch; a second signal does not
wait for that.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from threading import Event, Thread
from types import FrameType
from typing import TYPE_CHECKING

from localembed.cli import exit_codes

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

_ONE_PRESS = 0.5
"""Seconds in which signals count as one: a program that starts this one may pass Ctrl-C on."""
_LEFT_AT_ONCE = b"Left at once; the next run embeds what was not saved yet.\n"
_stopped_at = 0.0
"""When the first signal arrived, by `time.monotonic`."""
_SOON = 0.02
"""Seconds until a signal that Python dropped is sent again."""


def listen() -> None:
    """Make signals raise in the main thread, and lose none of them."""
    exit_codes.stopping = None
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # it is, in the background
        signal.signal(signal.SIGINT, _interrupt)
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _terminate)
    sys.unraisablehook = _look_again


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    _stop(KeyboardInterrupt)


def _terminate(_number: int, _frame: FrameType | None) -> None:
    _stop(exit_codes.Terminated)


def _stop(kind: type[BaseException]) -> None:
    """Raise the exception of a signal; leave at once if it is not the first."""
    global _stopped_at
    if exit_codes.stopping is None:
        exit_codes.stopping, _stopped_at = kind, time.monotonic()
        raise kind
    if time.monotonic() - _stopped_at > _ONE_PRESS:
        os.write(2, _LEFT_AT_ONCE)
        os._exit(exit_codes.code_of(kind))


def _look_again(lost: UnraisableHookArgs) -> None:
    """Resend a signal that arrived inside a destructor, where Python drops exceptions."""
    numbers = {KeyboardInterrupt: signal.SIGINT, exit_codes.Terminated: signal.SIGTERM}
    if lost.exc_type not in numbers:
        sys.__unraisablehook__(lost)
        return

    exit_codes.stopping = None
    ended = Event()

    def send() -> None:
        ended.wait()  # what is raised in here would be dropped as well
        time.sleep(_SOON)
        os.kill(os.getpid(), numbers[lost.exc_type])

    Thread(target=send, daemon=True).start()
    ended.set()
