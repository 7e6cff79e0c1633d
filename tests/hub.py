"""A hub on this machine: it publishes folders, and fails as networks do."""

from __future__ import annotations

import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "c" * 40
_LARGE = ".safetensors"


class Hub:
    """What is published, and what is to go wrong."""

    def __init__(self) -> None:
        self.folders: dict[str, Path] = {}
        self.requests: list[tuple[str, str, str | None]] = []
        """Method, path and range of each."""
        self.status: dict[str, int] = {}
        """A part of a path → the status it is answered with."""
        self.gated: set[str] = set()
        self.breaks_off: dict[str, int] = {}
        """File → bytes after which the connection is closed, once."""
        self.swapped: dict[str, bytes] = {}
        """File → what is sent instead of it."""
        self.tokens: list[str | None] = []

    @contextmanager
    def running(self):
        """Serve on a port of the loopback; give the address."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    return type("Handler", (_Handler,), {"hub": hub})


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self._answer()

    def do_GET(self):
        self._answer()

    def _answer(self):
        path = self.path.partition("?")[0]
        self.hub.requests.append((self.command, path, self.headers.get("Range")))
        self.hub.tokens.append(self.headers.get("Authorization"))
        status = next((s for part, s in self.hub.status.items() if part in path), None)
        if status is not None:
            self._send(status, {}, b"{}")
        elif path.startswith("/api/models/"):
            self._info("/".join(path.split("/")[3:5]))
        else:
            owner, name, _, commit, file = path.lstrip("/").split("/", 4)
            folder = self.hub.folders.get(f"{owner}/{name}")
            if folder is None or commit != COMMIT or not (folder / file).is_file():
                self._send(404, {"X-Error-Code": "EntryNotFound"}, b"")
            else:
                self._file(folder, file)

    def _info(self, repository):
        folder = self.hub.folders.get(repository)
        if repository in self.hub.gated and not self.headers.get("Authorization"):
            self._send(403, {"X-Error-Code": "GatedRepo"}, b"{}")
        elif folder is None:
            self._send(404, {"X-Error-Code": "RepoNotFound"}, b"{}")
        else:
            files = sorted(path for path in folder.rglob("*") if path.is_file())
            siblings = [_sibling(folder, path) for path in files]
            info = {"id": repository, "sha": COMMIT, "siblings": siblings}
            self._send(200, {}, json.dumps(info).encode())

    def _file(self, folder, file):
        content = self.hub.swapped.get(file, (folder / file).read_bytes())
        etag = hashlib.sha256(content).hexdigest()
        headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{etag}"', "Accept-Ranges": "bytes"}
        byte_range = self.headers.get("Range")
        if byte_range and self.command == "GET":
            start = int(byte_range.removeprefix("bytes=").split("-")[0])
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self._send(206, headers, content[start:])
        else:
            length = self.hub.breaks_off.pop(file, None) if self.command == "GET" else None
            self._send(200, headers, content, length)

    def _send(self, status, headers, content, length=None):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content[:length])
        if length is not None:
            self.close_connection = True


def _sibling(folder, path):
    content = path.read_bytes()
    name = path.relative_to(folder).as_posix()
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    entry = {"rfilename": name, "size": len(content), "blobId": blob}
    if name.endswith(_LARGE):
        sha = hashlib.sha256(content).hexdigest()
        entry["lfs"] = {"sha256": sha, "size": len(content), "pointerSize": 130}
    return entry
