"""Load a model folder with sentence-transformers, from this machine and nothing but data."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from localembed.errors import ModelChangedError
from localembed.offline import SWITCHES

QUIET = {"TOKENIZERS_PARALLELISM": "true", "TRANSFORMERS_VERBOSITY": "error"}


def prepare() -> None:
    """Tell the libraries, before they are imported, to stay offline and quiet."""
    os.environ.update({**SWITCHES, **QUIET})


def load_model(folder: Path, device: str, precision: str) -> Any:  # noqa: ANN401 - a torch type
    """Return a SentenceTransformer in evaluation mode, its weights in a precision.

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
    model.eval()
    return model
