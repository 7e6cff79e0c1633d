"""Load a model folder with sentence-transformers, from this machine and nothing but data."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from localembed.core.offline import SWITCHES
from localembed.errors import ModelChangedError

QUIET = {"TOKENIZERS_PARALLELISM": "true", "TRANSFORMERS_VERBOSITY": "error"}
_LARGE_PAGES = {"THP_MEM_ALLOC_ENABLE": "1"}
"""torch then asks Linux for pages of 2 MB under large tensors: a batch touched 100,000 pages of
4 KB anew, a tenth of its time."""


def prepare() -> None:
    """Tell the libraries, before they are imported, to stay offline and quiet."""
    os.environ.update({**SWITCHES, **QUIET, **_LARGE_PAGES})


def load_model(folder: Path, device: str, precision: str) -> Any:  # noqa: ANN401 - a torch type
    """Return a SentenceTransformer in evaluation mode, its transformer's weights in a precision.

    What stands behind the transformer, such as a dense layer, stays fp32.

    Raises:
        ModelChangedError: the files do not load.
    """
    prepare()
    import torch
    from sentence_transformers import SentenceTransformer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    dtypes = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    try:
        model = SentenceTransformer(
            str(folder),
            device=device,
            local_files_only=True,
            trust_remote_code=False,
            model_kwargs={"use_safetensors": True, "dtype": dtypes[precision]},
        )
    except (OSError, ValueError, LookupError, RuntimeError, TypeError, AttributeError) as error:
        message = f"The model in {folder} cannot be loaded: {error}"
        raise ModelChangedError(message) from error
    for module in list(model)[1:]:
        module.float()
    model.eval()
    return model
