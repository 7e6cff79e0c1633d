"""Keep everything on this machine unless the user allows more: switches for libraries, and a guard.

Python's audit events cover every socket that Python opens, with the address that it connects to.
No host is judged by its name, which the system may resolve to any address. Native code opens its
own sockets, so the final proof is a trace of the system calls (tests/test_offline.py).
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
_RESERVED = "localhost"
"""The one name that is looked up without permission: RFC 6761 keeps it off the network."""


class NetworkGuard:
    """Guard that refuses Python connections beyond this machine."""

    def __init__(self) -> None:
        """Create the guard, inactive until `start`."""
        self.refused: list[str] = []
        """Hosts that were refused."""
        self._watching = self._installed = False
        self._threads = threading.local()

    @property
    def watching(self) -> bool:
        """Whether connections are refused."""
        return self._watching

    def start(self) -> None:
        """Refuse connections from now on, in child processes through environment variables."""
        os.environ.update(SWITCHES)
        self._watching = True
        self._install()

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
        self._threads.confined = False

    def confine(self) -> None:
        """Keep this thread on this machine, even if the guard has not been started."""
        self._threads.confined = True
        self._install()

    def _install(self) -> None:
        if not self._installed:
            sys.addaudithook(self._look)
            self._installed = True

    def _look(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not event.startswith("socket.") or not getattr(
            self._threads, "confined", self._watching
        ):
            return
        host = _host(event, arguments)
        if host is None or (event in _NAME_EVENTS and host == _RESERVED) or is_here(host):
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
    """Return whether a host is this machine: a loopback address, or `localhost` if it is one.

    Any other name is another machine's, as only a look-up, which leaves this one, could tell.
    """
    if host == _RESERVED:
        found = _addresses(host)
        return bool(found) and all(map(_is_loopback, found))
    return host == "" or _is_loopback(host)  # the empty address stands for this machine


def _addresses(name: str) -> list[str]:
    """Return the addresses of a name, none if it cannot be resolved."""
    import socket

    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return [str(address[4][0]) for address in found]


def _is_loopback(host: str) -> bool:
    import ipaddress

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
