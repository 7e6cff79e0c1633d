"""What the server has open, as a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from localembed.cli.render.text import from_home, printable, size
from localembed.core.text import counted


def server_page(form: Mapping[str, Any]) -> str:
    """Return the page of a server's status (see `json_forms.server_json`)."""
    if not form["running"]:
        return "No server is running"
    used, most = form["memory_bytes"], form["max_memory_bytes"]
    memory = f"{size(used)} of {size(most)}" if used is not None else f"at most {size(most)}"
    lines = [f"A server is running (process {form['pid']})", f"  Memory     {memory}"]
    for label, entries in (
        ("Workspaces", [_workspace(entry) for entry in form["workspaces"]]),
        ("Models", [f"{entry['name']} ({entry['engine']})" for entry in form["models"]]),
    ):
        for place, entry in enumerate(entries or ["none"]):
            lines.append(f"  {'' if place else label:<10} {printable(entry)}")
    return "\n".join(lines)


def _workspace(entry: Mapping[str, Any]) -> str:
    used = f"{counted(entry['requests'], 'request')}, last {_ago(entry['idle_seconds'])} ago"
    return f"{from_home(entry['folder'])}  {used}, {size(entry['vector_bytes'])} of vectors"


def _ago(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 60 else f"{seconds / 60:.0f} min"
