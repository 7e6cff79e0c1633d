"""The address on which the resident listens: a socket that only its user can reach.

A Unix socket (0600) in a private folder of the user (0700); on systems without Unix sockets, a port
of the loopback interface, with a token in a file in that folder that clients must send first.
"""

from __future__ import annotations

import os
import socket
import stat
import sys

from localembed import __version__

_SECRET_BYTES = 16
_MAX_UNIX_PATH = 100
BACKLOG = 512
"""Connections that wait to be accepted; above that, clients run their queries themselves."""
_USER_FOLDERS = (
    "HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "APPDATA", "LOCALAPPDATA",
)  # fmt: skip
"""Variables that decide where a user's models, settings and measurements are."""
HAS_UNIX_SOCKETS = hasattr(socket, "AF_UNIX")


def folder() -> str:
    """Return the user's folder for sockets, which may not exist."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and os.path.isdir(runtime):
        return os.path.join(runtime, "localembed")
    temporary = os.environ.get("TMPDIR") or os.environ.get("TEMP") or "/tmp"
    user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
    return os.path.join(temporary, f"localembed-{user}")


def path() -> str:
    """Return the path of the socket, one for each installed version and home of this user.

    Two environments of Python that share the package's files count as two installations.
    """
    import xxhash

    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    homes = (os.environ.get(name, "") for name in _USER_FOLDERS)
    parts = (sys.prefix, package, __version__, *homes)
    name = xxhash.xxh3_64_hexdigest(os.fsencode("\0".join(parts)))
    return os.path.join(folder(), f"{name}.sock")


def is_private(directory: str) -> bool:
    """Tell whether a folder belongs to this user and no other user can access it."""
    try:
        found = os.lstat(directory)
    except OSError:
        return False
    if not hasattr(os, "getuid"):
        return stat.S_ISDIR(found.st_mode)
    mine = found.st_uid == os.getuid() and not found.st_mode & 0o077
    return stat.S_ISDIR(found.st_mode) and mine


def make_private(directory: str) -> None:
    """Create the private folder for a socket.

    Raises:
        OSError: it cannot be created, or other users can access it.
    """
    os.makedirs(directory, mode=0o700, exist_ok=True)
    if not is_private(directory):
        message = f"{directory} can be accessed by other users"
        raise PermissionError(message)


def connect(
    path: str, seconds: float, *, unix: bool = HAS_UNIX_SOCKETS
) -> tuple[socket.socket, bytes] | None:
    """Return a connection and the token to send first, None if no resident listens there."""
    if not is_private(os.path.dirname(path)):
        return None
    try:
        if unix:
            connection, target, token = socket.socket(socket.AF_UNIX), path, b""
        else:
            with open(path, "rb") as file:
                port, _, token = file.read().partition(b" ")
            connection, target = socket.socket(), ("127.0.0.1", int(port))  # type: ignore[assignment]
    except (OSError, ValueError):
        return None
    connection.settimeout(seconds)
    try:
        connection.connect(target)
    except OSError:
        connection.close()
        return None
    return connection, token


def listen(path: str, *, unix: bool = HAS_UNIX_SOCKETS) -> tuple[socket.socket, bytes]:
    """Return a listening socket and the token that clients must send.

    An existing file at the path is replaced. The caller holds the lock beside it.

    Raises:
        OSError: the socket cannot be created, or the path is too long.
    """
    if unix:
        if len(os.fsencode(path)) > _MAX_UNIX_PATH:
            message = f"{path} is too long for a Unix socket"
            raise OSError(message)
        # Bind at a temporary path and rename, so that no client finds it before it listens.
        listener = socket.socket(socket.AF_UNIX)
        temporary = f"{path}.{os.getpid()}"
        remove(temporary)
        listener.bind(temporary)
        os.chmod(temporary, 0o600)
        listener.listen(BACKLOG)
        os.replace(temporary, path)
        return listener, b""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(BACKLOG)
    token = os.urandom(_SECRET_BYTES).hex().encode()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(b"%d %s" % (listener.getsockname()[1], token))
    return listener, token


def is_same_user(connection: socket.socket) -> bool:
    """Tell whether the peer is this user.

    Where the system cannot tell, return True: the folder is private.
    """
    if not hasattr(socket, "SO_PEERCRED") or connection.family != socket.AF_UNIX:
        return True
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int.from_bytes(credentials[4:8], "little") == os.getuid()


def remove(path: str) -> None:
    """Remove a socket if it exists."""
    try:
        os.unlink(path)
    except OSError:
        return
