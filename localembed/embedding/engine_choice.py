"""What was asked for, checked against this machine before any model is loaded."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from localembed.embedding.engines import fused, hardware, openvino
from localembed.embedding.engines.batching import Padding
from localembed.embedding.engines.bert import is_bert
from localembed.embedding.model_shape import ModelShape, read_shape
from localembed.embedding.options import EngineOptions, LoadContext, Profile, profile_key
from localembed.errors import ModelChangedError, UsageError
from localembed.types.models import ModelSpec

_BATCH_TOKENS = {"cpu": 2048, "cuda": 131_072, "mps": 16_384}
"""Padded tokens of one forward pass: on two cores 2,048 is as fast as 4,096 and takes less memory,
in fp32, in bf16 and with OpenVINO."""
_SHARE_OF_MEMORY = 0.5
_FLOPS_PER_CORE = {"fp32": 0.1e12, "bf16": 0.33e12}
"""What a core was seen to do, to guess how long a job takes."""
_CONVERTING_PAYS_AFTER = 120.0
"""Seconds of embedding; converting and comparing take about 25 s, once for a model."""
_COMPILING_TAKES = 30.0
_COMPILING_GAINS = {"fp32": 1.10, "bf16": 1.33}


@dataclass(frozen=True, slots=True)
class EnginePlan:
    """One model on one device, with what is known of both."""

    spec: ModelSpec
    folder: Path
    shape: ModelShape
    options: EngineOptions
    context: LoadContext
    device: str
    precision: str
    key: str
    """Under which the profile is kept."""
    profile: Profile
    budget: int
    """Padded tokens of a batch."""

    @property
    def normalizes(self) -> bool:
        """Whether vectors have length 1, by the spec or by the model's own last module."""
        return self.spec.normalize or self.shape.normalizes

    @property
    def padding(self) -> Padding:
        """What batches are filled up with."""
        return Padding(self.shape.pad_id, self.spec.max_tokens)

    @property
    def threads(self) -> int:
        """Of a forward pass on a processor."""
        return self.options.threads or self.profile.threads or hardware.cores()

    @property
    def fusible(self) -> bool:
        """Whether the model's pass is known, and this processor and torch have the steps for it."""
        return self.device == "cpu" and is_bert(self.shape) and fused.is_available()

    @property
    def converted(self) -> Path | None:
        """Where the model's form for OpenVINO lies or would lie; None if it can have none."""
        context = self.context
        if self.device != "cpu" or context.profiles is None or context.model_id is None:
            return None
        plain = self.shape.is_plain and self.spec.pooling in openvino.POOLINGS
        if not plain:
            return None
        return openvino.converted_path(context.profiles.folder, context.model_id)

    @property
    def converting_pays(self) -> bool:
        """Whether nothing is known yet and the job is long enough to find out."""
        return self.profile.engine is None and self._seconds > _CONVERTING_PAYS_AFTER

    @property
    def compiling_pays(self) -> bool:
        """Whether the job is long enough, with a margin of two, and there is a compiler."""
        if self.device != "cpu" or not hardware.has_compiler():
            return False
        saved = self._seconds * (1 - 1 / _COMPILING_GAINS[self.precision])
        return saved > 2 * _COMPILING_TAKES

    def keep(self, **found: str | int) -> None:
        """Remember what was found out for later runs."""
        if self.context.profiles is not None:
            self.context.profiles.keep(self.key, replace(self.profile, **found))  # type: ignore[arg-type]

    @property
    def _seconds(self) -> float:
        """About how long the job takes on a processor."""
        flops = self.context.job_tokens * self.shape.flops_per_token(128)
        return flops / (_FLOPS_PER_CORE[self.precision] * self.threads)


def make_plan(
    spec: ModelSpec, folder: Path, options: EngineOptions, context: LoadContext
) -> EnginePlan:
    """Check what was asked for.

    Raises:
        UsageError: this machine cannot do it.
    """
    shape = read_shape(folder)
    device = hardware.choose_device(options.device)
    precision = hardware.choose_precision(options.precision, device)
    _check_engine(options.engine, device)
    key = profile_key(spec.name, hardware.device_name(device), precision)
    profile = context.profiles.recall(key) if context.profiles is not None else Profile()
    requested = options.batch_tokens
    kind = device.partition(":")[0]
    wanted = requested or profile.batch_tokens or _BATCH_TOKENS[kind]
    threads = options.threads or profile.threads or hardware.cores()
    at_once = fused.streams(threads) * shape.bytes_per_token(spec.max_tokens)
    most = _most_tokens(at_once) if kind == "cpu" else None
    if requested and most is not None and requested > most:
        message = (
            f"--batch-tokens {requested} would take more than half of the memory that is free. "
            f"Use at most: --batch-tokens {most}"
        )
        raise UsageError(message)
    budget = wanted if most is None else max(1, min(wanted, most))
    return EnginePlan(
        spec, folder, shape, options, context, device, precision, key, profile, budget
    )


def check_folder(spec: ModelSpec, folder: Path, shape: ModelShape) -> None:
    """Refuse what would silently give other vectors than the library does.

    Raises:
        ModelChangedError: the folder contradicts the spec, or cannot be used.
    """
    reason = None
    if "StaticEmbedding" in shape.modules and not shape.is_static:
        reason = "is a static model with modules that are not supported"
    elif shape.pooling is not None and shape.pooling != spec.pooling:
        reason = f"pools by '{shape.pooling}', models.toml says '{spec.pooling}'"
    elif shape.stored_layers not in (0, shape.layers):
        reason = f"has {shape.layers} layers by its config.json and {shape.stored_layers} stored"
    elif shape.leaves_prompt_out and (spec.query_prompt or spec.document_prompt):
        reason = "leaves its prompt out of the mean, which is not supported"
    if reason is not None:
        message = (
            f"The model in {folder} {reason}. Fix the block '{spec.name}' in models.toml, or put "
            "the published files back."
        )
        raise ModelChangedError(message)


def check_dim(spec: ModelSpec, found: int) -> None:
    """Compare the numbers of a vector with the spec's.

    Raises:
        ModelChangedError: they differ.
    """
    said = spec.whole_dim or spec.dim
    if found != said:
        message = (
            f"Model '{spec.name}' gives vectors of {found} numbers, models.toml says {said}. "
            "Fix the key 'dim'."
        )
        raise ModelChangedError(message)


def _check_engine(requested: str, device: str) -> None:
    if requested in ("fused", "compile", "openvino") and device != "cpu":
        message = f"--engine {requested} works on the processor. Add: --device cpu"
        raise UsageError(message)
    if requested == "openvino" and not openvino.is_installed():
        message = "--engine openvino is not installed. Run: pip install 'localembed[openvino]'"
        raise UsageError(message)
    if requested == "compile" and not hardware.has_compiler():
        message = "--engine compile needs a C++ compiler on the path. Use: --engine torch"
        raise UsageError(message)


def _most_tokens(bytes_per_token: int) -> int | None:
    """Return how many padded tokens half of the free memory holds; None if that is not known."""
    free = hardware.free_memory()
    return None if free is None else int(free * _SHARE_OF_MEMORY / max(1, bytes_per_token))
