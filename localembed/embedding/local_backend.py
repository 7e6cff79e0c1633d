"""Local models in the format of sentence-transformers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from localembed.core import hashing
from localembed.embedding.options import EngineOptions, LoadContext, Profiles, RemoteOptions
from localembed.errors import ModelChangedError
from localembed.types.models import Embedder, ModelInput, ModelSpec, Tokenizer
from localembed.types.runs import Price

if TYPE_CHECKING:
    from localembed.types.runs import Estimate


@dataclass(frozen=True, slots=True)
class LocalBackend:
    """One model whose files are on this machine (see `backends.Backend`)."""

    spec: ModelSpec
    provider: ClassVar[None] = None
    windows_in_flight: ClassVar[int] = 1
    variables: ClassVar[tuple[str, ...]] = ()

    def space_id(self, hashes: Mapping[str, str], /) -> str:
        """Return the identity of the vectors.

        fp32, bf16 and fp16 count as one precision; device, batch and threads do not matter.
        """
        spec = self.spec
        return hashing.fingerprint(
            {
                "files": dict(hashes),
                "query_prompt": spec.query_prompt,
                "document_prompt": spec.document_prompt,
                "pooling": spec.pooling,
                "normalize": spec.normalize,
                "dim": spec.dim,
                "precision": "float",
            }
        )

    def tokenizer_facts(self) -> Mapping[str, str]:
        """Return nothing: the tokenizer's file is already part of the space."""
        return {}

    def is_available(self) -> bool:
        """Return True: its packages are always installed."""
        return True

    def count_requests(self, _inputs: Sequence[ModelInput], /) -> int:
        """Return 0."""
        return 0

    def price(self, _estimate: Estimate, _profiles: Profiles, /) -> Price:
        """Return no price."""
        return Price()

    def permission(self, _options: RemoteOptions, /) -> None:
        """Return None: a local model needs no permission."""

    def load_tokenizer(self, folder: Path, /) -> Tokenizer:
        """Return the model's tokenizer."""
        from localembed.embedding.tokenizers.fast import FastTokenizer

        return FastTokenizer(folder)

    def load(
        self, folder: Path, options: EngineOptions, _remote: RemoteOptions, context: LoadContext, /
    ) -> Embedder:
        """Load the model into the fastest engine."""
        from localembed.embedding.local import load_embedder

        with _readable(folder):
            return load_embedder(self.spec, folder, options, context)

    def load_for_queries(
        self, folder: Path, options: EngineOptions, _remote: RemoteOptions, context: LoadContext, /
    ) -> Embedder:
        """Load the model into the engine that starts fastest."""
        from localembed.embedding.local import load_query_embedder

        with _readable(folder):
            return load_query_embedder(self.spec, folder, options, context)


@contextmanager
def _readable(folder: Path) -> Iterator[None]:
    """Turn what broken files of a model raise while they are loaded into our error.

    Raises:
        ModelChangedError: a file contains values that make no sense.
    """
    try:
        yield
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
        message = (
            f"The model in {folder} cannot be loaded: {error!r}. Put the published files back."
        )
        raise ModelChangedError(message) from error
