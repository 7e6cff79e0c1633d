"""Load a model folder with sentence-transformers, offline and without running its code."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from localembed.core.offline import SWITCHES
from localembed.core.panics import quiet_panics
from localembed.errors import ModelChangedError

QUIET = {"TOKENIZERS_PARALLELISM": "true", "TRANSFORMERS_VERBOSITY": "error"}
_LARGE_PAGES = {"THP_MEM_ALLOC_ENABLE": "1"}
"""Setting that makes torch request 2 MB pages from Linux for large tensors: a batch touched 100,000
new pages of 4 KB, a tenth of its time."""


def prepare() -> None:
    """Set the environment that keeps the libraries offline and quiet, before they are imported."""
    os.environ.update({**SWITCHES, **QUIET, **_LARGE_PAGES})


def load_model(folder: Path, device: str, precision: str) -> Any:  # noqa: ANN401 - a torch type
    """Return a SentenceTransformer in evaluation mode, with its transformer in a precision.

    Modules after the transformer, such as a dense layer, stay fp32.

    Raises:
        ModelChangedError: the files cannot be loaded.
    """
    prepare()
    import torch
    from sentence_transformers import SentenceTransformer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    dtypes = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    try:
        with quiet_panics():
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
