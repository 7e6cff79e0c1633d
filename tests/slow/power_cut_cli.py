"""The command line of `tests.fake_cli` on a machine of its own, for tests that cut its power.

`BOOT_ID=x` is what the machine calls the time since its start, `NO_FSYNC=1` makes every fsync of
Python do nothing, `STOP_AFTER=where:name` kills the process when a function first returns.
"""

from __future__ import annotations

import os
import pkgutil
import runpy
import signal

from localembed.store import heartbeat


def _kill_after(place: str) -> None:
    owner_name, _, name = place.partition(":")
    owner = pkgutil.resolve_name(owner_name)
    original = getattr(owner, name)

    def call(*arguments, **options):
        original(*arguments, **options)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, call)


if __name__ == "__main__":
    heartbeat.boot_id = lambda: os.environ["BOOT_ID"]
    if os.environ.get("NO_FSYNC"):
        os.fsync = lambda fd: None
    if place := os.environ.get("STOP_AFTER"):
        _kill_after(place)
    runpy.run_module("tests.fake_cli", run_name="__main__")
