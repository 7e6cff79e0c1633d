"""Start a resident in the background, ask for its status, and stop it."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

from localembed.core.processes import environment, python
from localembed.errors import StorageError
from localembed.server import address, single, wire
from localembed.server.client import exchange

_START_SECONDS = 10.0
"""How long to wait for a resident that is starting, or ending."""
_POLL_SECONDS = 0.02


def start(workspace: Path) -> bool:
    """Start a resident that outlives this process, unless one is running or starting.

    Args:
        workspace: the workspace that it opens first.

    Raises:
        OSError: it cannot be started, or other users could reach it.
    """
    path = address.path()
    address.make_private(os.path.dirname(path))  # noqa: PTH120 - a string
    lock = single.take(path)
    if lock is None:
        return False
    passed = (lock,) if single.CAN_PASS_ON else ()
    if not passed:
        os.close(lock)
    try:
        _spawn(workspace, passed)
    finally:
        for descriptor in passed:
            os.close(descriptor)
    return True


def _spawn(workspace: Path, passed: tuple[int, ...]) -> None:
    held = [f"--lock={descriptor}" for descriptor in passed]
    subprocess.Popen(
        python("localembed", "serve", "-q", *held, "--workspace", str(workspace)),
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True, cwd=os.sep, env=environment(), pass_fds=passed,
    )  # fmt: skip


def has_started_before() -> bool:
    """Tell whether a resident was started at this address since the user logged in."""
    return single.exists(address.path())


def is_running() -> bool:
    """Tell whether a resident listens."""
    found = address.connect(address.path(), seconds=1.0)
    if found is None:
        return False
    found[0].close()
    return True


def status() -> bytes | None:
    """Return the status of the resident as JSON, None if there is none.

    A resident that is starting is waited for.
    """
    end = time.monotonic() + _START_SECONDS
    while True:
        reply = exchange(wire.STATUS)
        if reply and reply[0] == wire.STATUS and len(reply) == 2:
            return reply[1]
        if time.monotonic() > end or not single.is_held(address.path()):
            return None
        time.sleep(_POLL_SECONDS)


def stop() -> bool:
    """Stop the resident, also one that is starting; return False if there is none.

    Raises:
        StorageError: it does not end.
    """
    path, told = address.path(), False
    end = time.monotonic() + _START_SECONDS
    while True:
        told = exchange(wire.STOP) is not None or told
        if not single.is_held(path):
            return told
        if time.monotonic() > end:
            message = "The server does not stop. End the process 'localembed serve' yourself."
            raise StorageError(message)
        time.sleep(_POLL_SECONDS)
