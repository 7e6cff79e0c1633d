"""`localembed serve`."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from localembed.cli.options import Common, Session, common
from localembed.cli.render.output import echo, echo_json
from localembed.cli.render.text import from_home, printable
from localembed.errors import LocalembedError, StorageError
from localembed.types import json_forms

if TYPE_CHECKING:
    from localembed.server.resident import Answer, Request
    from localembed.workspace.workspace import Workspace


@click.command()
@click.option("--status", is_flag=True, help="Say whether a server is running for this workspace.")
@click.option("--stop", is_flag=True, help="Stop the running server.")
@common
@click.pass_context
def serve(ctx: click.Context, options: Common, status: bool, stop: bool) -> int:
    """Keep the index open and answer this workspace's queries until idle.

    `query` starts this server in the background and uses it. The setting `resident_minutes` is
    how long it waits for the next query; with 0, `query` starts none.
    """
    workspace = options.workspace()
    if status or stop:
        return _tell(workspace.folder, options, stop=stop)
    return _serve(ctx, workspace, options)


def _tell(folder: Path, options: Common, *, stop: bool) -> int:
    from localembed.server import start

    running = start.stop(folder) if stop else start.is_running(folder)
    if options.as_json:
        echo_json(json_forms.server_json(running=running and not stop, stopped=running and stop))
        return 0
    where = printable(from_home(str(folder)))
    if not running:
        echo(f"No server is running for {where}")
    else:
        echo(f"Stopped the server for {where}" if stop else f"A server is running for {where}")
    return 0


def _serve(ctx: click.Context, workspace: Workspace, options: Common) -> int:
    from localembed.server.resident import serve as serve_clients

    session = Session(workspace.limits, {workspace.folder: workspace})
    runner = _Runner(ctx.find_root().command, workspace, session)
    minutes = workspace.settings.settings.resident_minutes or 24 * 60
    options.notice(f"Answering queries for {printable(from_home(str(workspace.folder)))}")
    try:
        first = serve_clients(workspace.folder, runner, minutes * 60)
    except OSError as error:
        message = f"Cannot listen for queries: {error}. Set resident_minutes = 0 to use no server."
        raise StorageError(message) from error
    if not first:
        options.notice("Another process already answers them.")
    return 0


@dataclass(frozen=True, slots=True)
class _Runner:
    """Runs clients' command lines as processes of their own would, in open workspaces."""

    command: click.Command
    workspace: Workspace
    session: Session

    def warm(self) -> None:
        """Open the table and load the model; the first query reports what is wrong with them."""
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        try:
            self.workspace.warm()
        except LocalembedError:
            return

    def run(self, request: Request, /) -> Answer:
        """Run one command line."""
        from localembed.cli.exit_codes import run
        from localembed.server.resident import Answer

        if request.arguments[0] != "query":
            return Answer(2, b"", b"Error: this server answers only queries.\n")
        out, err = (_Stream(is_terminal=terminal) for terminal in request.terminals)
        with _as_client(request.folder, request.environment, out, err):
            code = run(self.command, list(request.arguments), self.session)
        return Answer(code, out.written(), err.written())


class _Stream(io.TextIOWrapper):
    """Output for a client's terminal or pipe."""

    def __init__(self, *, is_terminal: bool) -> None:
        super().__init__(io.BytesIO(), "utf-8", "surrogateescape", "\n", write_through=True)
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        """Return whether the client's stream is a terminal."""
        return self._is_terminal

    def written(self) -> bytes:
        """Return everything that was written."""
        self.flush()
        buffer = self.buffer
        return buffer.getvalue() if isinstance(buffer, io.BytesIO) else b""


@contextmanager
def _as_client(
    folder: str, environment: Mapping[str, str], out: io.TextIOWrapper, err: io.TextIOWrapper
) -> Iterator[None]:
    """Run in the client's folder, with its environment and its stdout and stderr."""
    own = dict(os.environ)
    streams = sys.stdout, sys.stderr
    try:
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(folder)
        sys.stdout, sys.stderr = out, err
        yield
    finally:
        sys.stdout, sys.stderr = streams
        os.chdir(os.sep)
        os.environ.clear()
        os.environ.update(own)
