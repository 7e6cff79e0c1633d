"""Private operators of torch: `localembed/embedding/engines/{fused,packed,torch}.py`."""

from __future__ import annotations

import inspect

import pytest
import torch

from localembed.embedding.engines import fused, hardware, packed

needs_onednn = pytest.mark.skipif(not fused.is_available(), reason="this CPU has no fused products")
needs_varlen = pytest.mark.skipif(not packed.is_available(), reason="torch 2.10 and later have it")


def schema(operator, overload: str = "default") -> str:
    return str(getattr(operator, overload)._schema)


@needs_onednn
def test_the_fused_product_takes_these_arguments():
    product = torch.ops.mkldnn._linear_pointwise
    assert schema(product) == (
        "mkldnn::_linear_pointwise(Tensor X, Tensor W, Tensor? B, str attr, Scalar?[] scalars, "
        "str? algorithm) -> Tensor Y"
    )
    assert schema(product, "binary") == (
        "mkldnn::_linear_pointwise.binary(Tensor X, Tensor other, Tensor W, Tensor? B, str attr) "
        "-> Tensor Y"
    )


@needs_onednn
def test_the_layout_of_weights_takes_these_arguments():
    assert schema(torch.ops.mkldnn._reorder_linear_weight) == (
        "mkldnn::_reorder_linear_weight(Tensor self, int? batch_size=None) -> Tensor Y"
    )


@needs_onednn
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
def test_the_fused_products_compute_what_their_names_say(dtype):
    """In bf16 only where torch reorders bf16 weights, for which AVX2 alone is not enough."""
    if dtype is torch.bfloat16 and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        pytest.skip("torch does not reorder bf16 weights on this CPU")
    torch.manual_seed(1)
    x, residual = torch.randn(64, 32, dtype=dtype), torch.randn(64, 48, dtype=dtype)
    weight, bias = torch.randn(48, 32, dtype=dtype), torch.randn(48, dtype=dtype)
    linear = torch.nn.functional.linear(x.float(), weight.float(), bias.float())
    matrix = torch.ops.mkldnn._reorder_linear_weight(weight, 64)
    product = torch.ops.mkldnn._linear_pointwise
    gelu = torch.nn.functional.gelu(linear)
    for found, expected in (
        (product(x, matrix, bias, "none", [], ""), linear),
        (product(x, matrix, bias, "gelu", [], "none"), gelu),
        (product.binary(x, residual, matrix, bias, "add"), linear + residual.float()),
    ):
        precision = 1e-4 if dtype is torch.float32 else 0.15
        torch.testing.assert_close(found.float(), expected, atol=precision, rtol=precision)


@needs_varlen
def test_attention_over_texts_of_different_lengths_takes_these_arguments():
    from torch.nn.attention.varlen import varlen_attn

    parameters = inspect.signature(varlen_attn).parameters
    names = ["query", "key", "value", "cu_seq_q", "cu_seq_k", "max_q", "max_k"]
    assert list(parameters)[:7] == names
    assert parameters["scale"].kind is inspect.Parameter.KEYWORD_ONLY


def test_a_cpu_without_memory_says_so():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert hardware.is_out_of_memory(caught.value)


def test_the_compiler_has_the_setting_that_freezes_weights():
    import torch._inductor.config as inductor

    assert inductor.freezing in (True, False)
