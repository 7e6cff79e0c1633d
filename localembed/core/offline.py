"""Keep everything on this machine unless the user allows more: switches for libraries, and a guard.

Python's audit events cover every socket that Python opens. Native code opens its own, so the final
proof is a trace of the system calls (tests/test_offline.py).
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
"""Environment variables that libraries read on import."""
_ONLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
_ADDRESS_EVENTS = {
    "socket.connect": 1, "socket.sendto": 1, "socket.sendmsg": 1, "socket.getnameinfo": 0,
}  # fmt: skip
"""Audit event → the position of the address in its arguments."""
_NAME_EVENTS = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr")


class NetworkGuard:
    """Guard that refuses Python connections beyond this machine."""

    def __init__(self) -> None:
        """Create the guard, inactive until `start`."""
        self.refused: list[str] = []
        """Hosts that were refused."""
        self._watching = self._installed = False
        self._let_through = threading.local()

    @property
    def watching(self) -> bool:
        """Whether connections are refused."""
        return self._watching

    def start(self) -> None:
        """Refuse connections from now on, in child processes through environment variables."""
        os.environ.update(SWITCHES)
        self._watching = True
        if not self._installed:
            sys.addaudithook(self._look)
            self._installed = True

    @contextmanager
    def lifted(self) -> Iterator[None]:
        """Allow the code inside to go online, with the user's permission."""
        watching, self._watching = self._watching, False
        hidden = {name: os.environ.pop(name) for name in _ONLINE if name in os.environ}
        try:
            yield
        finally:
            self._watching = watching
            os.environ.update(hidden)

    def let_through(self) -> None:
        """Allow this thread alone to go online, to send requests to a remote model."""
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
            f"Something tried to reach {host}, but this command has no permission to use the "
            "network. Nothing was sent."
        )
        raise OfflineError(message)


guard = NetworkGuard()
"""Network guard of this process."""


def is_here(host: str) -> bool:
    """Return whether a host, given as a name or an IP address, is this machine."""
    import ipaddress

    if host in ("", "localhost", "ip6-localhost"):
        return True
    try:
        # Only an IPv6 address has a zone; a name with a percent sign is another machine's.
        address = ipaddress.ip_address(host.partition("%")[0] if ":" in host else host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def _host(event: str, arguments: tuple[Any, ...]) -> str | None:
    """Return the host of an audit event, or None if it has none."""
    if event in _NAME_EVENTS:
        target = arguments[0]
    elif event in _ADDRESS_EVENTS:
        target = arguments[_ADDRESS_EVENTS[event]]
        if not isinstance(target, tuple):  # a Unix socket's path, or None if already connected
            return None
        target = target[0]
    else:
        return None
    if isinstance(target, bytes):
        target = target.decode("ascii", "replace")
    return target if isinstance(target, str) else None  # other address families have numbers
