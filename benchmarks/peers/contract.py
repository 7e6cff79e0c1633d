"""What a contestant is given, and what it has to do; needs the standard library and NumPy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float32]
    """(texts, dim)."""

WORD = "warm"
"""Every contestant embeds this once before the clock starts: some load the model only then."""


@dataclass(frozen=True, slots=True)
class Task:
    """The same for every contestant."""

    texts: Sequence[str]
    model: Path
    """Folder of a sentence-transformers model."""
    scratch: Path
    """Empty, and the contestant's own."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What tuning found; empty means the contestant's own defaults."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Measured by a contestant that is a command, instead of by the child around it."""

    seconds: float
    process_seconds: float
    cpu_seconds: float | None
    """Of the timed part; None where it cannot be told apart. Over seconds: cores kept busy."""
    peak_rss_mb: float


class Contestant(Protocol):
    """One way from texts to vectors."""

    def __init__(self, task: Task) -> None:
        """Import the library, load the model and embed one word: not in the timed part."""

    def embed(self) -> Timing | None:
        """Embed all texts and keep the vectors where this contestant keeps them: timed."""

    def vectors(self) -> Matrix | None:
        """Return the vectors in the order of the texts, None if they cannot be had back."""

    def facts(self) -> dict[str, object]:
        """Return what was really used, such as the length of the longest input."""


def model_facts(model: Any) -> dict[str, object]:  # noqa: ANN401 - sentence-transformers
    """Return what a SentenceTransformer really does to a text that is too long.

    The packaged tokenizer.json truncates at 128, the model's configuration says 256.
    """
    import torch

    ids = model.preprocess(["word " * 1000])["input_ids"]
    return {
        "max_seq_length": model.max_seq_length,
        "longest_input": int(ids.shape[-1]),
        "dtype": str(next(model.parameters()).dtype).removeprefix("torch."),
        "device": str(model.device),
        "threads": torch.get_num_threads(),
    }


def peak_megabytes(pid: int | str = "self") -> float:
    """Return the largest resident set of a process so far, 0 where it cannot be read.

    `getrusage` would do for a child only: it starts with the size of the process that made it.
    """
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return max(
        (int(line.split()[1]) / 1000 for line in lines if line.startswith("VmHWM")), default=0.0
    )
