"""The machine's matrix multiplication rate, against which engines are measured."""

from __future__ import annotations

import time
from functools import cache

_SIZES = {"cpu": 2048, "gpu": 8192}
_ROUNDS = 4


@cache
def matmul_rate(device: str, precision: str, threads: int) -> float:
    """Return floating-point operations per second of one large product, the best of four.

    Args:
        device: cpu, cuda:N or mps.
        precision: fp32, bf16 or fp16.
        threads: CPU threads.
    """
    import torch

    torch.set_num_threads(threads)
    size = _SIZES["cpu" if device == "cpu" else "gpu"]
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    left = torch.ones((size, size), dtype=dtype, device=device)

    def multiply() -> float:
        begin = time.perf_counter()
        product = left @ left
        product[0, 0].item()  # waits for a GPU
        return time.perf_counter() - begin

    multiply()
    return 2 * size**3 / min(multiply() for _ in range(_ROUNDS))
