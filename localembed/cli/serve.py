"""`localembed serve`."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from localembed.cli.exit_codes import error_line
from localembed.cli.options import Common, chosen_color, common
from localembed.cli.render import screen
from localembed.cli.render.output import echo, echo_json, finished, message, without_styles
from localembed.cli.render.server_page import server_page
from localembed.cli.render.text import from_home, printable
from localembed.cli.searching import make_search, print_search
from localembed.errors import LocalembedError, StorageError, UsageError
from localembed.types import json_forms

if TYPE_CHECKING:
    from localembed.server.requests import Answer, QueryRequest
    from localembed.server.service import Place, Service
    from localembed.workspace.workspace import Workspace


@click.command()
@click.option("--status", is_flag=True, help="Show the server's workspaces, models and memory.")
@click.option("--stop", is_flag=True, help="Stop the server, for all workspaces.")
@click.option("--lock", type=int, hidden=True, help="Descriptor of the lock of a new server.")
@common
@click.pass_context
def serve(ctx: click.Context, options: Common, status: bool, stop: bool, lock: int | None) -> int:
    """Keep indexes open and answer this user's queries until idle.

    `query` starts this server in the background and uses it for every workspace. The setting
    `resident_minutes` is how long it waits for the next query; with 0, `query` starts none. Above
    `resident_memory`, it closes the workspaces that were used least recently.
    """
    if status and stop:
        message = "Give either --status or --stop."
        raise UsageError(message)
    if status:
        return _show_status(options)
    if stop:
        return _stop(options)
    return _serve(ctx, options.workspace(), options, lock)


def _show_status(options: Common) -> int:
    from localembed.server import start

    found = start.status()
    form = json.loads(found) if found is not None else json_forms.server_json(None)
    if options.as_json:
        echo_json(form)
    else:
        echo(server_page(form))
    return 0


def _stop(options: Common) -> int:
    from localembed.server import start

    stopped = start.stop()
    if options.as_json:
        echo_json(json_forms.server_json(None, stopped=stopped))
    else:
        options.report("Stopped the server" if stopped else "No server is running")
    return 0


def _serve(ctx: click.Context, workspace: Workspace, options: Common, lock: int | None) -> int:
    from localembed.server.resident import serve as serve_clients
    from localembed.server.service import Place, Service

    settings = workspace.settings.settings
    group = ctx.find_root().command
    query = group.get_command(ctx, "query") if isinstance(group, click.Group) else None
    if query is None:
        message = "the group of commands has no query"
        raise TypeError(message)
    service = Service(settings.resident_memory, workspace.limits)
    first = Place(str(workspace.folder.parent), str(workspace.folder))
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.chdir(os.sep)  # no request depends on it, and no file system stays in use
    minutes = settings.resident_minutes or 24 * 60
    options.notice(f"Answering queries; first for {printable(from_home(str(workspace.folder)))}")
    try:
        is_first = serve_clients(_Answerer(query, service, first), minutes * 60, lock)
    except OSError as error:
        message = f"Cannot listen for queries: {error}. Set resident_minutes = 0 to use no server."
        raise StorageError(message) from error
    if not is_first:
        options.notice("Another process already answers them.")
    return 0


@dataclass(frozen=True, slots=True)
class _Answerer:
    """Answers clients' requests in workspaces that stay open (see `resident.Answerer`)."""

    command: click.Command
    """The command `query`, which parses."""
    service: Service
    first: Place
    """The workspace to open first."""

    def warm(self) -> None:
        """Open the first workspace."""
        self.service.warm(self.first)

    def answer(self, kind: bytes, parts: Sequence[bytes], /) -> list[bytes]:
        """Return the reply to a request."""
        from localembed.server import wire
        from localembed.server.requests import read_query

        if kind == wire.STATUS:
            form = json_forms.server_json(self.service.status())
            return [wire.STATUS, json.dumps(form).encode()]
        if kind == wire.EMBED:
            from localembed.server.embed_messages import read_request, vectors_reply

            return vectors_reply(self.service.embed(read_request(parts)))
        if kind == wire.QUERY:
            return self._query(read_query(parts))
        message = f"unknown kind of request {kind!r}"
        raise ValueError(message)

    def _query(self, request: QueryRequest) -> list[bytes]:
        from localembed.server import wire
        from localembed.workspace.query_models import ForeignVariablesError

        try:
            answer = self._answer_words(request)
        except ForeignVariablesError as error:
            return [wire.VARIABLES, *map(os.fsencode, error.names)]
        return [wire.ANSWER, str(answer.code).encode(), answer.out, answer.err]

    def _answer_words(self, request: QueryRequest) -> Answer:
        """Return what the command line prints, as in a process of its own.

        Raises:
            Exception: the client's own process must say what is wrong.
        """
        from localembed.server.requests import Answer

        params = self.command.make_context("query", list(request.words)).params
        if params["since"] is not None and request.variables.get("TZ") != os.environ.get("TZ"):
            reason = "a date is another moment in the client's time zone"
            raise ValueError(reason)
        notices: list[str] = []
        out = b""
        try:
            shown = _screen(params["color"], request)
            search = make_search(params, as_json=params["as_json"])
            place = _place(params["folder"], request)
            with (
                screen.rendering_for(shown),
                self.service.workspace(place, request.variables) as ws,
            ):
                printed = print_search(ws, search, notices.append)
            code = printed.code
            notices += printed.err
            text = printed.out if printed.is_raw else finished(printed.out)
            if not (printed.is_raw or shown.has_color):
                text = without_styles(text)
            out = text.encode("utf-8", "surrogateescape")
            lines = [] if params["quiet"] else notices
        except LocalembedError as error:
            code = error.exit_code
            lines = [*([] if params["quiet"] else notices), error_line(error)]
        on_terminal = request.terminals[1]
        with screen.rendering_for(_screen("never", request)):
            shown_lines = [message(line, is_terminal=on_terminal) for line in lines]
        err = finished("".join(f"{line}\n" for line in shown_lines))
        return Answer(code, out, err.encode("utf-8", "surrogateescape"))


def _screen(color: str | None, request: QueryRequest) -> screen.Screen:
    """Return the client's screen, with the colours that its command line asks for."""
    return screen.Screen(
        folder=request.folder,
        home=request.home,
        columns=request.columns,
        is_terminal=request.terminals[0],
        shows_links=request.shows_links,
        color=chosen_color(color, request.variables, is_plain=request.is_plain),
    )


def _place(named: Path | None, request: QueryRequest) -> Place:
    """Return how a command line names its workspace, as the client's process would read it."""
    from localembed.core.workspace_folder import VARIABLE
    from localembed.server.service import Place

    variable = request.variables.get(VARIABLE)
    if named is not None:
        return Place(request.folder, str(request.folder / named.expanduser()))
    if variable:
        path = os.path.join(request.folder, os.path.expanduser(variable))  # noqa: PTH111, PTH118
        return Place(request.folder, os.path.normpath(path))
    return Place(request.folder)
