"""The proof that nothing leaves this machine: embed and ask while every way out is refused."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
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

_ELSEWHERE = ("192.0.2.1", 443)
"""An address that is reserved for documentation: nobody has it."""
_PROBE = "rotating api keys"
_TABLES = ("tcp", "tcp6", "udp", "udp6", "raw", "raw6")


def check_offline(
    layout: Layout, settings: Settings, ask: Callable[[str], object]
) -> Iterator[Finding]:
    """Yield what was tried and how it ended; the guard stays on afterwards.

    Args:
        layout: the workspace, which need not exist.
        settings: in force.
        ask: searches the workspace.
    """
    guard.start()
    before = len(guard.refused)
    yield _guard()
    yield _switches()
    yield _extensions()
    tried = len(guard.refused)
    yield _embedding(layout, settings)
    yield _query(ask)
    if len(guard.refused) > tried:
        places = tuple(guard.refused[tried:])
        yield wrong("attempts", "Somebody tried to leave this machine and was refused", "", places)
    else:
        yield ok("attempts", f"Nobody else tried to leave; refused in all: {tried - before}")
    yield _sockets()


def _guard() -> Finding:
    """Try to leave, as any library could."""
    try:
        with socket.socket() as out:
            out.settimeout(0.1)
            out.connect(_ELSEWHERE)
    except OfflineError:
        return ok("guard", f"A connection to {_ELSEWHERE[0]} was refused before it was made")
    except OSError as error:
        return wrong("guard", f"A connection to {_ELSEWHERE[0]} was tried: {error}")
    return wrong("guard", f"A connection to {_ELSEWHERE[0]} was made")


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
            return note("embedding", f"{settings.model} is a server's, which is not asked here")
        options, context = engine_options(settings), load_context(model.space_id)
        embedder = load_embedder(model.spec, model.folder, options, context=context)
        vector = embedder.embed_query(_PROBE)
    except LocalembedError as error:
        return wrong("embedding", str(error))
    name, use = settings.model, f"{len(vector)} numbers"
    return ok("embedding", f"{name} embedded a text: {use}, from {model.folder}")


def _query(ask: Callable[[str], object]) -> Finding:
    try:
        ask(_PROBE)
    except NotIndexedError as error:
        return note("query", str(error))
    except LocalembedError as error:
        return wrong("query", str(error))
    return ok("query", f"The index was asked for '{_PROBE}' and answered")


def _sockets() -> Finding:
    """Look which sockets of the internet this process has open."""
    mine = set()
    try:
        for entry in Path("/proc/self/fd").iterdir():
            mine.add(str(entry.readlink()))
    except OSError:
        if not mine:
            return note("sockets", "This system does not tell which sockets a process has open")
    found = []
    for table in _TABLES:
        try:
            lines = Path(f"/proc/self/net/{table}").read_text().splitlines()[1:]
        except OSError:
            continue
        found += [table for line in lines if f"socket:[{line.split()[9]}]" in mine]
    if found:
        return wrong("sockets", f"This process has open: {', '.join(found)}")
    return ok("sockets", "This process has no internet socket open")
