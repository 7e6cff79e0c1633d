"""A static model made by hand: a folder as hubs publish it, small, and loaded without torch."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

DIM = 16
_LESSON = """
the a of and to in is keys key rotate rotating api ship ships harbour bread flour water oven river
gravel lamp burns night index query vector text one two three
"""


def write_static(folder: Path, *, seed: int = 1, dim: int = DIM) -> Path:
    """Write weights, tokenizer and modules.json; another seed is another model."""
    from safetensors.numpy import save_file
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    inner = folder / "0_StaticEmbedding"
    inner.mkdir(parents=True)
    vocabulary = {word: place for place, word in enumerate(["[UNK]", *_LESSON.split()])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.save(str(inner / "tokenizer.json"))
    rows = np.random.default_rng(seed).standard_normal((len(vocabulary), dim)).astype(np.float32)
    save_file({"embedding.weight": rows}, inner / "model.safetensors")
    kind = "sentence_transformers.models.StaticEmbedding"
    module = {"idx": 0, "name": "0", "path": "0_StaticEmbedding", "type": kind}
    (folder / "modules.json").write_text(json.dumps([module]))
    (folder / "config_sentence_transformers.json").write_text(
        json.dumps({"prompts": {"query": "", "document": ""}, "similarity_fn_name": "cosine"})
    )
    (folder / "README.md").write_text("---\nlicense: mit\nlanguage: en\n---\n# A static model\n")
    return folder
