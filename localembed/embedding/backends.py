"""Backends embed with a model, locally or at a provider; each is one module and one row here.

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
"""Key `backend` of models.toml → module and class; the class takes a ModelSpec."""


class Backend(Protocol):
    """Identifies, prices and loads one model."""

    provider: str | None
    """Address of the provider; None for a local model."""
    windows_in_flight: int
    """Number of windows that a run embeds concurrently."""

    @property
    def variables(self) -> tuple[str, ...]:
        """Environment variables that decide how to reach the provider; none for a local model."""

    def space_id(self, hashes: Mapping[str, str], /) -> str:
        """Return the identity of the space; only vectors with the same one are comparable.

        Args:
            hashes: file name → SHA-256, for every file that affects the vectors.
        """

    def tokenizer_facts(self) -> Mapping[str, str]:
        """Return what affects chunk boundaries and is not part of the space."""

    def is_available(self) -> bool:
        """Tell whether the packages that this backend needs are installed."""

    def count_requests(self, inputs: Sequence[ModelInput], /) -> int:
        """Return the number of requests for inputs; 0 for a local model."""

    def price(self, estimate: Estimate, profiles: Profiles, /) -> Price:
        """Return the time and money that an estimate costs."""

    def permission(self, options: RemoteOptions, /) -> Hashable:
        """Return permission to use the model for one command; None for a local model.

        An embedder that was loaded under another permission must not be used.

        Raises:
            OfflineError: the provider is on another machine, and the network is not allowed.
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
            folder: folder of its files.
            options: the user's choice of engine and device.
            remote: limits on a remote model.
            context: purpose of the model, and stored profiles.

        Raises:
            UsageError: this machine does not support the options; raised before anything is loaded.
            ModelChangedError: the files contradict the spec.
        """

    def load_for_queries(
        self, folder: Path, options: EngineOptions, remote: RemoteOptions, context: LoadContext, /
    ) -> Embedder:
        """Load an embedder for queries in the space of the model (see `load`).

        For one short text, a CPU is done before a GPU is initialized or a compiler has finished.
        If NumPy was found to give the model's vectors, it embeds, without torch.
        """


def backend_of(spec: ModelSpec) -> Backend:
    """Return the backend of a model."""
    module, _, name = BACKENDS[spec.backend].partition(":")
    backend: Backend = getattr(import_module(module), name)(spec)
    return backend
