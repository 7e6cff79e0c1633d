"""Save answers one by one, and print the number of each that is safe; for kills and power cuts."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from localembed.store.layout import Layout
from localembed.store.pending_vectors import PendingVectors

DIM, SPACE = 8, "a space of vectors"
KEYS = [bytes([number]) * 16 for number in range(6)]
VECTORS = np.random.default_rng(5).standard_normal((len(KEYS), DIM)).astype(np.float32)

if __name__ == "__main__":
    pending = PendingVectors(Layout(Path(sys.argv[1])), SPACE, DIM)
    for number, key in enumerate(KEYS):
        pending.save([key], VECTORS[number : number + 1])
        print(number, flush=True)  # noqa: T201
