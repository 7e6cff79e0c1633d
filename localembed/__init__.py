"""Local-first embeddings of folders: index them, query them, embed nothing twice.

import localembed

ws = localembed.open("notes/")
ws.index()
for hit in ws.query("rotating api keys", top_k=5):
    print(hit.path, hit.start_line, hit.score)
"""

from __future__ import annotations

# The client of the server imports this file, too, so everything is imported where it is used.
TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from typing import Any

    from localembed import errors
    from localembed.checkup import doctor, prove_offline
    from localembed.types.arrays import VectorMatrix
    from localembed.types.documents import Root
    from localembed.types.events import RunEvent, Step
    from localembed.types.findings import Checkup, Finding
    from localembed.types.queries import Filter, Query, QueryResult, SearchHit
    from localembed.types.runs import RunReport
    from localembed.types.tables import Status
    from localembed.types.trust import Permission, TrustedWorkspace
    from localembed.workspace.trust import distrust, trust
    from localembed.workspace.trust_records import trusted_workspaces
    from localembed.workspace.workspace import Workspace

__version__ = "0.1.0"
__all__ = [
    "Checkup", "Filter", "Finding", "Permission", "Query", "QueryResult", "Root", "RunEvent",
    "RunReport", "SearchHit", "Status", "Step", "TrustedWorkspace", "Workspace", "__version__",
    "distrust", "doctor", "embed", "errors", "open", "prove_offline", "refuse_network", "trust",
    "trusted_workspaces",
]  # fmt: skip

_HOMES = {
    "Checkup": "types.findings",
    "Filter": "types.queries",
    "Finding": "types.findings",
    "Permission": "types.trust",
    "Query": "types.queries",
    "QueryResult": "types.queries",
    "Root": "types.documents",
    "RunEvent": "types.events",
    "RunReport": "types.runs",
    "SearchHit": "types.queries",
    "Status": "types.tables",
    "Step": "types.events",
    "TrustedWorkspace": "types.trust",
    "Workspace": "workspace.workspace",
    "distrust": "workspace.trust",
    "doctor": "checkup",
    "prove_offline": "checkup",
    "trust": "workspace.trust",
    "trusted_workspaces": "workspace.trust_records",
}
"""Public name → module that defines it, imported when the name is first used."""


def open(folder: str | os.PathLike[str] | None = None) -> Workspace:
    """Return the workspace of a folder, created if missing; without a folder, the nearest one.

    Args:
        folder: the folder to index, which must exist; the workspace is `.localembed` inside it.

    Raises:
        UsageError: there is no such folder.
        StorageError: the workspace cannot be created.
        NotTrustedError: it is a link; or without a folder, another user could have made the nearest
            one.
    """
    import os
    from pathlib import Path

    from localembed.core.workspace_folder import FOLDER_NAME
    from localembed.workspace.workspace import Workspace

    if folder is None:
        return Workspace.discover()
    place = Path(folder).expanduser().absolute()
    if not os.fspath(folder) or not place.is_dir():
        from localembed.errors import UsageError

        message = f"There is no folder {place}. Name the folder to index."
        raise UsageError(message)
    workspace = Workspace(place / FOLDER_NAME)
    workspace.create()
    return workspace


def embed(texts: Sequence[str], *, model: str | None = None) -> VectorMatrix:
    """Return the vectors of texts, (len(texts), dim) float32; nothing is stored.

    A text over the model's limit is embedded in parts, whose vectors are averaged.

    Args:
        texts: texts of any length; a list, even of one.
        model: a name of models.toml; the setting's if not given.

    Raises:
        UsageError: `texts` is no list of texts.
        ModelNotFoundError: the model is unknown or not installed.
    """
    from localembed.workspace.embed_texts import embed_texts

    return embed_texts(texts, model)


def refuse_network() -> None:
    """Refuse all connections of this Python process to other machines, from now on.

    The command line always does so; it cannot be undone. Native code is not covered.
    """
    from localembed.core.offline import guard

    guard.start()


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a module's attribute
    from importlib import import_module

    if name == "errors":
        return import_module("localembed.errors")
    if name in _HOMES:
        return getattr(import_module(f"localembed.{_HOMES[name]}"), name)
    message = f"module 'localembed' has no attribute {name!r}"
    raise AttributeError(message)
