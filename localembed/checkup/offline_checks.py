"""Prove that nothing leaves this machine: embed and query while connections are refused."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

from localembed import models
from localembed.checkup.finding import note, ok, wrong
from localembed.core.offline import SWITCHES, guard
from localembed.embedding import backend_of, load_embedder
from localembed.errors import LocalembedError, NotIndexedError, OfflineError
from localembed.store.layout import Layout
from localembed.store.manifest import extensions_are_off
from localembed.types.findings import Finding
from localembed.workspace.settings import Settings, engine_options, load_context
from localembed.workspace.workspace import Workspace

_RESERVED_ADDRESS = ("192.0.2.1", 443)
"""Address reserved for documentation (RFC 5737), which no host has."""
_PROBE = "rotating api keys"
"""Text that is embedded and searched for."""
_SOCKET_TABLES = ("tcp", "tcp6", "udp", "udp6", "raw", "raw6")


def check_offline(workspace: Workspace) -> Iterator[Finding]:
    """Yield the result of each check; the offline guard stays active afterwards.

    Args:
        workspace: the workspace, which need not exist.
    """
    guard.start()
    before = len(guard.refused)
    yield _guard()
    yield _switches()
    yield _extensions()
    probes = len(guard.refused)
    yield _embedding(workspace.layout, workspace.settings.settings)
    yield _query(workspace)
    if len(guard.refused) > probes:
        hosts = tuple(guard.refused[probes:])
        text = "Connections to other machines were attempted and refused"
        yield wrong("attempts", text, "", hosts)
    else:
        text = f"No other connection was attempted; refused in total: {probes - before}"
        yield ok("attempts", text)
    yield _sockets()


def _guard() -> Finding:
    """Try to open a connection, as any library could."""
    try:
        with socket.socket() as out:
            out.settimeout(0.1)
            out.connect(_RESERVED_ADDRESS)
    except OfflineError:
        return ok("guard", f"A connection to {_RESERVED_ADDRESS[0]} was refused before it was made")
    except OSError as error:
        return wrong("guard", f"A connection to {_RESERVED_ADDRESS[0]} was attempted: {error}")
    return wrong("guard", f"A connection to {_RESERVED_ADDRESS[0]} was made")


def _switches() -> Finding:
    unset = [name for name, value in SWITCHES.items() if os.environ.get(name) != value]
    if unset:
        return wrong("switches", f"Not set: {', '.join(unset)}")
    return ok("switches", ", ".join(f"{name}={value}" for name, value in SWITCHES.items()))


def _extensions() -> Finding:
    if extensions_are_off():
        return ok("extensions", "DuckDB neither fetches nor loads extensions")
    return wrong("extensions", "DuckDB may fetch extensions")


def _embedding(layout: Layout, settings: Settings) -> Finding:
    try:
        model = models.open_model(settings.model, layout, dim=settings.dim)
        if backend_of(model.spec).provider is not None:
            text = f"{settings.model} is a remote model; doctor sends it no requests"
            return note("embedding", text)
        options, context = engine_options(settings), load_context(model.space_id)
        embedder = load_embedder(model.spec, model.folder, options, context=context)
        vector = embedder.embed_query(_PROBE)
    except LocalembedError as error:
        return wrong("embedding", str(error))
    text = f"{settings.model} embedded a text in {len(vector)} dimensions, from {model.folder}"
    return ok("embedding", text)


def _query(workspace: Workspace) -> Finding:
    try:
        workspace.query(_PROBE, top_k=1)
    except NotIndexedError as error:
        return note("query", str(error))
    except LocalembedError as error:
        return wrong("query", str(error))
    return ok("query", f"The index answered the query '{_PROBE}'")


def _sockets() -> Finding:
    """Check which internet sockets this process has open."""
    mine = set()
    try:
        for entry in Path("/proc/self/fd").iterdir():
            mine.add(str(entry.readlink()))
    except OSError:
        if not mine:
            return note("sockets", "This system does not list the open sockets of a process")
    found = []
    for table in _SOCKET_TABLES:
        try:
            lines = Path(f"/proc/self/net/{table}").read_text().splitlines()[1:]
        except OSError:
            continue
        found += [table for line in lines if f"socket:[{line.split()[9]}]" in mine]
    if found:
        return wrong("sockets", f"This process has open internet sockets: {', '.join(found)}")
    return ok("sockets", "This process has no open internet sockets")
