"""What computes the vectors of a model: here, or at a provider. A backend is one file and one row.

Nothing here imports a model library until a model is loaded.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from localembed.embedding.options import EngineOptions, LoadContext, Profiles, RemoteOptions

if TYPE_CHECKING:
    from localembed.types.models import Embedder, ModelInput, ModelSpec, Tokenizer
    from localembed.types.runs import Estimate, Price

BACKENDS: dict[str, str] = {
    "sentence-transformers": "localembed.embedding.local_backend:LocalBackend",
    "openai": "localembed.embedding.remote.backend:RemoteBackend",
}
"""Key `backend` of models.toml → module and class, which takes a ModelSpec."""


class Backend(Protocol):
    """One model, as its backend identifies, prices and loads it."""

    provider: str | None
    """Address of the provider that embeds; None where this machine does."""
    windows_in_flight: int
    """Windows of a run that are embedded side by side."""

    def space_id(self, hashes: Mapping[str, str], /) -> str:
        """Return the identity of everything that decides whether two vectors may be compared.

        Args:
            hashes: file name → SHA-256 of every file of the model that decides.
        """

    def tokenizer_facts(self) -> Mapping[str, str]:
        """Return what decides where documents are chunked and is not part of the space."""

    def is_available(self) -> bool:
        """Tell whether the packages that this backend needs are installed."""

    def count_requests(self, inputs: Sequence[ModelInput], /) -> int:
        """Return how many requests inputs take; 0 where the model is on this machine."""

    def price(self, estimate: Estimate, profiles: Profiles, /) -> Price:
        """Return what embedding so much takes and costs."""

    def permission(self, options: RemoteOptions, /) -> Hashable:
        """Return permission to use the model for one command, None where it is on this machine.

        What was loaded under another permission must not be used.

        Raises:
            OfflineError: the provider is another machine, and the network is not allowed.
            RemoteModelError: the provider needs a key, and there is none.
        """

    def load_tokenizer(self, folder: Path, /) -> Tokenizer:
        """Return the model's tokenizer, without loading the model.

        Raises:
            ModelChangedError: its file is missing or broken.
        """

    def load(
        self, folder: Path, options: EngineOptions, remote: RemoteOptions, context: LoadContext, /
    ) -> Embedder:
        """Load the model.

        Args:
            folder: where its files are.
            options: what the user asked for.
            remote: what a remote model may do and cost.
            context: what the model is loaded for.

        Raises:
            UsageError: this machine cannot do what was asked for; raised before anything is loaded.
            ModelChangedError: the files contradict the spec.
        """

    def load_for_queries(
        self, folder: Path, options: EngineOptions, remote: RemoteOptions, context: LoadContext, /
    ) -> Embedder:
        """Load what embeds queries in the space of the model (see `load`).

        One short text: a GPU would take longer to wake up, and a compiler to compile, than a CPU
        takes to answer. Where NumPy was seen to give the model's vectors, it does, without torch.
        """


def backend_of(spec: ModelSpec) -> Backend:
    """Return the backend of a model."""
    module, _, name = BACKENDS[spec.backend].partition(":")
    backend: Backend = getattr(import_module(module), name)(spec)
    return backend
