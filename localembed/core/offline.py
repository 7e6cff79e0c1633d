"""Nothing leaves this machine unless a command was told so: what libraries are told, and a guard.

Python's audit events tell of every socket that Python opens. Native code opens its own, so the
judge of the whole is a trace of the system calls (tests/test_offline.py).
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from localembed.errors import OfflineError

SWITCHES = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_UPDATE_CHECK": "1",
    "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
    "DO_NOT_TRACK": "1",
}
"""What libraries read when they are imported."""
_ONLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
_ADDRESSED = {"socket.connect": 1, "socket.sendto": 1, "socket.sendmsg": 1, "socket.getnameinfo": 0}
_NAMED = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr")


class NetworkGuard:
    """Refuses what Python would send beyond this machine."""

    def __init__(self) -> None:
        """Watch nothing yet."""
        self.refused: list[str] = []
        """Where somebody wanted to go."""
        self._watching = self._installed = False
        self._let_through = threading.local()

    @property
    def watching(self) -> bool:
        """Whether sockets are refused."""
        return self._watching

    def start(self) -> None:
        """Refuse from now on, in this process and by switches in its children."""
        os.environ.update(SWITCHES)
        self._watching = True
        if not self._installed:
            sys.addaudithook(self._look)
            self._installed = True

    @contextmanager
    def lifted(self) -> Iterator[None]:
        """Let what is done inside go online: somebody told it to."""
        watching, self._watching = self._watching, False
        hidden = {name: os.environ.pop(name) for name in _ONLINE if name in os.environ}
        try:
            yield
        finally:
            self._watching = watching
            os.environ.update(hidden)

    def let_through(self) -> None:
        """Let this thread, and no other, go online: it is there to ask one server."""
        self._let_through.yes = True

    def _look(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._watching or not event.startswith("socket."):
            return
        if getattr(self._let_through, "yes", False):
            return
        host = _host(event, arguments)
        if host is None or is_here(host):
            return
        self.refused.append(host)
        message = (
            f"Something tried to reach {host}, and this command was not told to leave this "
            "machine. Nothing was sent."
        )
        raise OfflineError(message)


guard = NetworkGuard()
"""Of this process."""


def is_here(host: str) -> bool:
    """Tell whether a host, as a name or a number, is this machine."""
    import ipaddress

    if host in ("", "localhost", "ip6-localhost"):
        return True
    try:
        # Only an IPv6 address has a zone; a name with a percent sign is somebody else's.
        address = ipaddress.ip_address(host.partition("%")[0] if ":" in host else host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def _host(event: str, arguments: tuple[Any, ...]) -> str | None:
    """Return the host that an audit event is about, None if it is about none."""
    if event in _NAMED:
        target = arguments[0]
    elif event in _ADDRESSED:
        target = arguments[_ADDRESSED[event]]
        if not isinstance(target, tuple):  # a path, or none for a socket that is connected
            return None
        target = target[0]
    else:
        return None
    if isinstance(target, bytes):
        target = target.decode("ascii", "replace")
    return target if isinstance(target, str) else None  # other families have numbers
