"""Cross-encoders read query and text together, which ranks better than vectors and costs more."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from localembed.core.panics import panics_as_errors, quiet_panics
from localembed.embedding.engines.torch_model import prepare
from localembed.errors import ModelChangedError
from localembed.types.models import ModelSpec

if TYPE_CHECKING:
    from localembed.types.arrays import Vector

_BATCH = 16


class CrossEncoderReranker:
    """A sentence-transformers `CrossEncoder` with one score per pair, on the CPU."""

    def __init__(self, model: Any) -> None:  # noqa: ANN401 - sentence-transformers
        """Wrap a loaded model (see `load_reranker`)."""
        self._model = model

    def __call__(self, query: str, texts: Sequence[str], /) -> Vector:
        """Return (n,) float32, higher is better; pairs too long for the model are truncated."""
        pairs = [(query, text) for text in texts]
        # The library sorts by length, so one call pads little.
        with panics_as_errors():
            scores = self._model.predict(pairs, batch_size=_BATCH, show_progress_bar=False)
        return np.asarray(scores, np.float32).reshape(len(texts))


def load_reranker(spec: ModelSpec, folder: Path) -> CrossEncoderReranker:
    """Load a reranker from files on this machine.

    Raises:
        ModelChangedError: the files are not a cross-encoder with one score.
    """
    prepare()
    from sentence_transformers import CrossEncoder
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()

    try:
        with quiet_panics():
            model = CrossEncoder(
                str(folder),
                device="cpu",
                max_length=spec.max_tokens,
                local_files_only=True,
                trust_remote_code=False,
                model_kwargs={"use_safetensors": True},
            )
    except (OSError, ValueError, LookupError, RuntimeError, TypeError, AttributeError) as error:
        first = str(error).splitlines()[0] if str(error) else repr(error)
        message = f"Model '{spec.name}' cannot be loaded from {folder}: {first}"
        raise ModelChangedError(message) from error
    if model.num_labels != 1:
        message = f"Model '{spec.name}' gives {model.num_labels} numbers a pair; one is needed."
        raise ModelChangedError(message)
    return CrossEncoderReranker(model)
