"""Local-first embeddings of folders: index them, query them, embed nothing twice.

import localembed

ws = localembed.open("notes/")
ws.index()
for hit in ws.query("rotating api keys", top_k=5):
    print(hit.path, hit.start_line, hit.score)
"""

from __future__ import annotations

# The client of a resident process begins here, too: what takes time is imported where it is used.
TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from typing import Any

    from localembed.types.arrays import VectorMatrix
    from localembed.workspace.workspace import Workspace

__version__ = "0.1.0"
__all__ = ["Workspace", "__version__", "embed", "errors", "open"]


def open(folder: str | os.PathLike[str] | None = None) -> Workspace:
    """Return the workspace of a folder, made if it is missing; without one, the nearest above.

    Args:
        folder: the folder to index; the workspace is `.localembed` inside it.

    Raises:
        StorageError: the workspace cannot be made.
    """
    from pathlib import Path

    from localembed.core.workspace_folder import FOLDER_NAME
    from localembed.workspace.workspace import Workspace

    if folder is None:
        return Workspace.discover()
    workspace = Workspace(Path(folder).expanduser().absolute() / FOLDER_NAME)
    workspace.create()
    return workspace


def embed(texts: Sequence[str], *, model: str | None = None) -> VectorMatrix:
    """Return the vectors of texts, (len(texts), dim) float32; nothing is stored.

    A text longer than the model is cut into chunks and their mean is taken.

    Args:
        texts: any texts.
        model: a name of models.toml; the setting's if not given.

    Raises:
        ModelNotFoundError: the model is unknown or not installed.
    """
    from localembed.workspace.embed_texts import embed_texts

    return embed_texts(texts, model)


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a module's attribute
    if name == "Workspace":
        from localembed.workspace.workspace import Workspace

        return Workspace
    if name == "errors":
        import localembed.errors as module

        return module
    message = f"module 'localembed' has no attribute {name!r}"
    raise AttributeError(message)
