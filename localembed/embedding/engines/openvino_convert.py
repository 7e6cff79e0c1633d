"""Convert a model for OpenVINO and measure whether it is faster, in a separate process.

    python -m localembed.embedding.engines.openvino_convert JOB.json

A child process, because conversion needs torch and half a gigabyte, and the run that started it may
then need neither.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from localembed.core import private
from localembed.core.offline import guard
from localembed.core.processes import environment, python
from localembed.embedding.engines import fused
from localembed.embedding.engines.base import Engine
from localembed.embedding.engines.batching import Padding
from localembed.embedding.engines.bert import is_bert, read_bert
from localembed.embedding.engines.openvino import OpenVinoEngine, import_openvino
from localembed.embedding.engines.torch import TorchEngine
from localembed.embedding.engines.torch_model import load_model
from localembed.embedding.model_shape import read_shape

if TYPE_CHECKING:
    from localembed.types.arrays import IntArray

_MIN_COSINE = 0.9998
"""Minimum cosine of a converted model to torch in fp32; bf16 was measured at 0.99997."""
_LENGTHS = (192, 128, 100, 64, 37, 5)
_ITEMS = 16


@dataclass(frozen=True, slots=True)
class ConversionJob:
    """The job of the child process."""

    model: str
    """Path of the model's folder."""
    converted: str
    """Path of the .xml file to write; the weights go beside it."""
    precision: str
    pooling: str
    normalize: bool
    pad_id: int
    vocabulary: int
    max_tokens: int
    threads: int

    @property
    def padding(self) -> Padding:
        """How batches are padded."""
        return Padding(self.pad_id, self.max_tokens)


@dataclass(frozen=True, slots=True)
class Conversion:
    """The outcome of a conversion."""

    cosine: float
    """Lowest cosine of all items."""
    torch_seconds: float
    openvino_seconds: float
    """Seconds for the same batches."""

    @property
    def is_better(self) -> bool:
        """Whether the converted model is exact enough and faster."""
        return self.cosine >= _MIN_COSINE and self.openvino_seconds < self.torch_seconds


def convert_in_child(job: ConversionJob) -> Conversion | None:
    """Convert and compare; return None if the model cannot be converted."""
    command = python("localembed.embedding.engines.openvino_convert", json.dumps(asdict(job)))
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        return None
    return Conversion(**json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Do the job from the command line and write the outcome to stdout."""
    guard.start()  # the converter has telemetry of its own
    job = ConversionJob(**json.loads(sys.argv[1]))
    sys.stdout.write(json.dumps(asdict(_convert(job))) + "\n")


def _convert(job: ConversionJob) -> Conversion:
    import torch

    torch.set_num_threads(job.threads)
    reference = _torch_engine(job, "fp32")
    target = Path(job.converted)
    if not target.exists():
        _save(reference.model, target)
    converted = OpenVinoEngine(
        target, job.precision, pooling=job.pooling, normalize=job.normalize,
        padding=job.padding, threads=job.threads,
    )  # fmt: skip
    batches = _batches(job.vocabulary, job.max_tokens)
    ours, theirs = (_vectors(engine, batches) for engine in (converted, reference))
    lengths = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    worst = float((np.sum(ours * theirs, axis=1) / lengths).min())
    rival = _rival(job, reference)
    pairs = [(_seconds(rival, batches), _seconds(converted, batches)) for _ in range(3)]
    return Conversion(worst, min(pair[0] for pair in pairs), min(pair[1] for pair in pairs))


def _rival(job: ConversionJob, reference: TorchEngine) -> Engine:
    """Return the engine that would embed otherwise."""
    folder = Path(job.model)
    shape = read_shape(folder)
    if is_bert(shape) and fused.is_available():
        with contextlib.suppress(Exception):  # whatever a changed operation of torch raises
            engine = fused.FusedEngine(
                read_bert(folder, shape), job.precision,
                normalize=job.normalize, threads=job.threads,
            )  # fmt: skip
            engine.compute([np.ones(3, np.int32)])
            return engine
    return reference if job.precision == "fp32" else _torch_engine(job, job.precision)


def _torch_engine(job: ConversionJob, precision: str) -> TorchEngine:
    model = load_model(Path(job.model), "cpu", precision)
    return TorchEngine(model, "cpu", precision, padding=job.padding, normalize=job.normalize)


def _save(model: Any, target: Path) -> None:  # noqa: ANN401 - a torch type
    """Convert the transformer alone; pooling stays outside, in fp32. Weights are written first."""
    import torch

    openvino = import_openvino()

    class HiddenStates(torch.nn.Module):  # type: ignore[misc]
        """The transformer with the two inputs that are used here."""

        def __init__(self) -> None:
            super().__init__()
            self.inner = model[0].auto_model

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:  # noqa: ANN401
            return self.inner(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state

    mask = torch.ones((3, 24), dtype=torch.int64)
    mask[1:, 20:] = 0
    example = {"input_ids": torch.ones((3, 24), dtype=torch.int64), "attention_mask": mask}
    converted = openvino.convert_model(HiddenStates(), example_input=example)
    private.make_folder(target.parent)
    made = target.with_name(f"new-{target.name}")
    openvino.save_model(converted, made, compress_to_fp16=False)
    private.tighten(made.with_suffix(".bin"))
    private.tighten(made)
    made.with_suffix(".bin").replace(target.with_suffix(".bin"))
    made.replace(target)


def _batches(vocabulary: int, max_tokens: int) -> list[list[IntArray]]:
    """Return random ids; lengths differ within a batch, so that masks are compared too."""
    rng = np.random.default_rng(5)
    return [
        [
            rng.integers(1, vocabulary, max(3, length - item % 4)).astype(np.int32)
            for item in range(_ITEMS)
        ]
        for length in (min(length, max_tokens) for length in _LENGTHS)
    ]


def _vectors(engine: Engine, batches: Sequence[list[IntArray]]) -> Any:  # noqa: ANN401
    return engine.collect([engine.submit(batch) for batch in batches])


def _seconds(engine: Engine, batches: Sequence[list[IntArray]]) -> float:
    begin = time.perf_counter()
    _vectors(engine, batches)
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
