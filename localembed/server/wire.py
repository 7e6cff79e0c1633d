"""The protocol between client and resident: lists of byte strings, each preceded by its length.

A request begins with the token, the code version and its kind:

    query:   working folder, home, columns, marks, number of variables, variables …, arguments …
             (marks: "x" or "-" for stdout and stderr being terminals, for links, and for no
             colours)
    embed:   a JSON object, the number of ids of each text, all ids (see `embed_messages`)
    status, stop: nothing more

A reply begins with its kind:

    answer:    exit code, stdout, stderr
    variables: names; the client sends the query again with their values
    vectors:   a JSON object, the vectors
    status:    a JSON object
    stopping:  nothing more
    refused:   nothing more; the client must do the work itself

JSON would also work for queries, but importing it costs the client 6 ms.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from socket import socket

LENGTH = 4
"""Bytes of a length."""
MAX_REQUEST_BYTES = 8 << 20
"""Maximum bytes of a request; a command line has at most 2 MiB on Linux."""
_MAX_REPLY_BYTES = 256 << 20

QUERY, EMBED, STATUS, STOP = b"query", b"embed", b"status", b"stop"
ANSWER, VARIABLES, VECTORS, STOPPING = b"answer", b"variables", b"vectors", b"stopping"
REFUSED = b"refused"


def pack(parts: Sequence[bytes]) -> bytes:
    """Return a message as bytes."""
    body = b"".join(len(part).to_bytes(LENGTH, "big") + part for part in parts)
    return len(body).to_bytes(LENGTH, "big") + body


def send(connection: socket, parts: Sequence[bytes]) -> None:
    """Send one message."""
    connection.sendall(pack(parts))


def receive(connection: socket) -> list[bytes] | None:
    """Return one message, None if the peer disconnected in the middle of it or it is malformed."""
    head = _exactly(connection, LENGTH)
    if head is None or int.from_bytes(head, "big") > _MAX_REPLY_BYTES:
        return None
    body = _exactly(connection, int.from_bytes(head, "big"))
    return None if body is None else unpack(body)


def _exactly(connection: socket, count: int) -> bytes | None:
    data = bytearray()
    while len(data) < count:
        received = connection.recv(min(1 << 20, count - len(data)))
        if not received:
            return None
        data += received
    return bytes(data)


def unpack(body: bytes) -> list[bytes] | None:
    """Return the parts of a message without its length, None if it is malformed."""
    parts: list[bytes] = []
    at = 0
    while at < len(body):
        begin = at + LENGTH
        at = begin + int.from_bytes(body[at:begin], "big")
        parts.append(body[begin:at])
    return parts if at == len(body) else None
