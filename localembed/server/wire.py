"""The protocol between client and resident: lists of byte strings, each preceded by its length.

    request: token, code version, working folder, terminals, number of arguments, arguments …,
             environment …
    reply:   exit code, stdout, stderr; or one empty part: the client must run the query itself

JSON would also work, but importing it costs the client 6 ms.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from socket import socket

_LENGTH = 4
_MAX_BYTES = 256 << 20


def send(connection: socket, parts: Sequence[bytes]) -> None:
    """Send one message."""
    body = b"".join(len(part).to_bytes(_LENGTH, "big") + part for part in parts)
    connection.sendall(len(body).to_bytes(_LENGTH, "big") + body)


def receive(connection: socket) -> list[bytes] | None:
    """Return one message, None if the peer disconnected in the middle of it or it is malformed."""
    head = _exactly(connection, _LENGTH)
    if head is None or int.from_bytes(head, "big") > _MAX_BYTES:
        return None
    body = _exactly(connection, int.from_bytes(head, "big"))
    return None if body is None else _parts(body)


def _exactly(connection: socket, count: int) -> bytes | None:
    data = bytearray()
    while len(data) < count:
        received = connection.recv(min(1 << 20, count - len(data)))
        if not received:
            return None
        data += received
    return bytes(data)


def _parts(body: bytes) -> list[bytes] | None:
    parts: list[bytes] = []
    at = 0
    while at < len(body):
        begin = at + _LENGTH
        at = begin + int.from_bytes(body[at:begin], "big")
        parts.append(body[begin:at])
    return parts if at == len(body) else None
