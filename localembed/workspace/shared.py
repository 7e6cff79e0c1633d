"""A workspace that answers the requests of several processes."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Self

from localembed.workspace.query_models import Terms
from localembed.workspace.workspace import Workspace

if TYPE_CHECKING:
    from localembed.models import LocatedModel
    from localembed.types.models import Embedder


class SharedWorkspace(Workspace):
    """A workspace that stays open; safe for several threads."""

    def for_process(self, variables: Mapping[str, str], folder: str) -> Self:
        """Return this workspace as another process uses it.

        It shares the open table and the loaded models.

        Args:
            variables: the `LOCALEMBED_` variables of that process, and others that it was asked
                for.
            folder: absolute path of its current folder.
        """
        view = copy.copy(self)
        view._variables, view._current = variables, folder
        return view

    def query_embedder(self, model: LocatedModel) -> Embedder:
        """Return the embedder that answers queries with a local model, loaded once.

        Args:
            model: a model whose files are on this machine.
        """
        return self._models.local(model, Terms(variables=self._variables))

    @property
    def exists(self) -> bool:
        """Whether its folder is there, whatever the gate says of it."""
        return self._layout.exists()

    @property
    def vector_bytes(self) -> int:
        """Bytes of the vectors that are kept in memory."""
        return self._searcher.vector_bytes

    def close(self) -> None:
        """Close the connections to providers; tables and models are freed with the object."""
        self._models.close()
