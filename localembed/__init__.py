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
    from collections.abc import Iterable
    from typing import Any

    from localembed import errors
    from localembed.checkup import doctor, prove_offline
    from localembed.types.arrays import VectorMatrix
    from localembed.types.documents import Root
    from localembed.types.events import RunEvent, Step
    from localembed.types.findings import Checkup, Finding
    from localembed.types.listing import FileListing, ListedFile
    from localembed.types.queries import Filter, Query, QueryResult, SearchHit
    from localembed.types.runs import RunReport
    from localembed.types.tables import Status
    from localembed.types.trust import Permission, TrustedWorkspace
    from localembed.workspace.embed_texts import EmbedKind
    from localembed.workspace.trust import distrust, trust
    from localembed.workspace.trust_records import trusted_workspaces
    from localembed.workspace.workspace import Workspace

__version__ = "0.1.0"
__all__ = [
    "Checkup", "FileListing", "Filter", "Finding", "ListedFile", "Permission", "Query",
    "QueryResult", "Root", "RunEvent", "RunReport", "SearchHit", "Status", "Step",
    "TrustedWorkspace", "Workspace", "__version__", "distrust", "doctor", "embed", "errors",
    "open", "prove_offline", "refuse_network", "trust", "trusted_workspaces",
]  # fmt: skip

_HOMES = {
    "Checkup": "types.findings",
    "FileListing": "types.listing",
    "Filter": "types.queries",
    "Finding": "types.findings",
    "ListedFile": "types.listing",
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


def open(folder: str | os.PathLike[str] | None = None, *, create: bool = False) -> Workspace:
    """Return the workspace of a folder; without a folder, the nearest one, or else your own.

    The workspace is `.localembed` inside the folder, and is created there if it is missing. With
    `open()`, `Workspace.index` creates it.

    Args:
        folder: the folder to index.
        create: create the folder itself, and those above it, if it does not exist.

    Raises:
        UsageError: there is no such folder, and `create` is not set; or it is a file.
        StorageError: the folder or the workspace cannot be created.
        NotTrustedError: it is a link; or without a folder, another user could have made the nearest
            one.
    """
    from localembed.workspace.open_folder import open_folder

    return open_folder(folder, create=create)


def embed(
    texts: Iterable[str], *, model: str | None = None, kind: EmbedKind = "document"
) -> VectorMatrix:
    """Return the vectors of texts, in their order; nothing is stored.

    A text over the model's limit is embedded in parts, whose vectors are averaged. Vectors have
    length 1 if the model normalizes them, as all models in the package's registry do.

    Args:
        texts: texts of any length; a list, even of one.
        model: a name of models.toml; the setting's if not given.
        kind: `document` for texts to find, `query` for what to find them by: many models expect
            another prompt before each.

    Returns:
        (n, dim) float32, also for one text and for none.

    Raises:
        UsageError: `texts` is no list of texts, or another value is invalid.
        ModelNotFoundError: the model is unknown or not installed.
        ModelChangedError: a file of the model differs from its hash.
        ModelError: the model gives no vector for a text.
        OfflineError: the model is remote, and the network is not allowed.
    """
    from localembed.workspace.embed_texts import embed_texts

    return embed_texts(texts, model, kind)


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
