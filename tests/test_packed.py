"""The engine without padding gives the vectors of the padded one; this needs no GPU."""

from __future__ import annotations

import numpy as np
import pytest

from localembed.embedding.engines.batching import Padding
from localembed.embedding.engines.packed import FAMILIES, PackedEngine
from localembed.embedding.engines.torch import TorchEngine
from localembed.embedding.engines.torch_model import load_model
from localembed.embedding.model_shape import read_shape
from tests import families


def attend_text_by_text(query, key, value, bounds, longest, scale):
    """Compute what `varlen_attn` does on a GPU, (tokens, heads, head size), in plain torch."""
    import torch

    outs = []
    for begin, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        assert end - begin <= longest
        one = [part[begin:end].transpose(0, 1)[None] for part in (query, key, value)]
        out = torch.nn.functional.scaled_dot_product_attention(*one, scale=scale)
        outs.append(out[0].transpose(0, 1))
    return torch.cat(outs)


@pytest.fixture(scope="module", params=["bert", "xlm-roberta"])
def folder(request, tmp_path_factory):
    family = next(family for family in families.FAMILIES if family.name == request.param)
    path = tmp_path_factory.mktemp(family.name)
    families.build(family, path)
    return path


def test_packed_vectors_are_the_padded_ones(folder):
    shape = read_shape(folder)
    rng = np.random.default_rng(3)
    items = [rng.integers(5, 90, length).astype(np.int32) for length in (40, 3, 17, 39, 1, 28)]
    padding = Padding(shape.pad_id)
    padded = TorchEngine(
        load_model(folder, "cpu", "fp32"), "cpu", "fp32", padding=padding, normalize=True
    )
    packed = PackedEngine(
        load_model(folder, "cpu", "fp32"), "cpu", "fp32", padding=padding, normalize=True,
        attention=attend_text_by_text,
    )  # fmt: skip

    ours = packed.collect([packed.submit(items[:4]), packed.submit(items[4:])])
    theirs = padded.collect([padded.submit(items)])

    assert families.cosine(ours, theirs).min() >= 0.999999
    assert packed.pads_to == 0


def test_only_families_whose_positions_are_known_are_packed():
    assert {"bert", "xlm-roberta", "roberta"} == FAMILIES
