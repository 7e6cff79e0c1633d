"""Signals that end a command early: Ctrl-C, SIGTERM and SIGHUP raise wherever it is."""

from __future__ import annotations

import os
import signal
import sys
import time
from threading import Event, Thread
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from localembed.cli import exit_codes

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

_SOON = 0.02
"""Seconds until a signal that Python dropped is sent again."""


def listen() -> None:
    """Make signals raise in the main thread, and lose none of them."""
    exit_codes.stopping = None
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not in the background
        signal.signal(signal.SIGINT, _interrupt)
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _terminate)
    sys.unraisablehook = _look_again


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    exit_codes.stopping = KeyboardInterrupt
    raise KeyboardInterrupt


def _terminate(_number: int, _frame: FrameType | None) -> NoReturn:
    exit_codes.stopping = exit_codes.Terminated
    raise exit_codes.Terminated


def _look_again(lost: UnraisableHookArgs) -> None:
    """Resend a signal that arrived inside a destructor, where Python drops exceptions."""
    numbers = {KeyboardInterrupt: signal.SIGINT, exit_codes.Terminated: signal.SIGTERM}
    if lost.exc_type not in numbers:
        sys.__unraisablehook__(lost)
        return

    ended = Event()

    def send() -> None:
        ended.wait()  # what is raised in here would be dropped as well
        time.sleep(_SOON)
        os.kill(os.getpid(), numbers[lost.exc_type])

    Thread(target=send, daemon=True).start()
    ended.set()
