"""Choose device, precision and batch size, and check them before any model is loaded."""

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
"""Padded tokens per forward pass: on two cores 2,048 is as fast as 4,096 and takes less memory, in
fp32, in bf16 and with OpenVINO."""
_SHARE_OF_MEMORY = 0.5
_FLOPS_PER_CORE = {"fp32": 0.1e12, "bf16": 0.33e12}
"""Measured speed of a core, to estimate how long a job takes."""
_CONVERTING_PAYS_AFTER = 120.0
"""Seconds of embedding from which to convert; that takes about 25 s, once per model."""
_COMPILING_TAKES = 30.0
_COMPILING_GAINS = {"fp32": 1.10, "bf16": 1.33}


@dataclass(frozen=True, slots=True)
class EnginePlan:
    """One model on one device, with the profile of both."""

    spec: ModelSpec
    folder: Path
    shape: ModelShape
    options: EngineOptions
    context: LoadContext
    device: str
    precision: str
    key: str
    """Key of the profile."""
    profile: Profile
    budget: int
    """Padded tokens per batch."""

    @property
    def normalizes(self) -> bool:
        """Whether vectors are normalized, by the spec or by the model's own last module."""
        return self.spec.normalize or self.shape.normalizes

    @property
    def padding(self) -> Padding:
        """Padding of batches."""
        return Padding(self.shape.pad_id, self.spec.max_tokens)

    @property
    def threads(self) -> int:
        """CPU threads for inference."""
        return self.options.threads or self.profile.threads or hardware.cores()

    @property
    def fusible(self) -> bool:
        """Whether the fused engine supports the model, this CPU and this torch."""
        return self.device == "cpu" and is_bert(self.shape) and fused.is_available()

    @property
    def converted(self) -> Path | None:
        """Path for the model converted for OpenVINO, which may not exist; None if unsupported."""
        context = self.context
        if self.device != "cpu" or context.profiles is None or context.model_id is None:
            return None
        plain = self.shape.is_plain and self.spec.pooling in openvino.POOLINGS
        if not plain:
            return None
        return openvino.converted_path(context.profiles.folder, context.model_id)

    @property
    def converting_pays(self) -> bool:
        """Whether no engine was measured yet and the job is long enough for it."""
        return self.profile.engine is None and self._seconds > _CONVERTING_PAYS_AFTER

    @property
    def compiling_pays(self) -> bool:
        """Whether there is a compiler and the job is long enough, with a margin of two."""
        if self.device != "cpu" or not hardware.has_compiler():
            return False
        saved = self._seconds * (1 - 1 / _COMPILING_GAINS[self.precision])
        return saved > 2 * _COMPILING_TAKES

    def keep(self, **changes: str | int) -> None:
        """Store measurements in the profile, for later runs."""
        if self.context.profiles is not None:
            self.context.profiles.keep(self.key, replace(self.profile, **changes))  # type: ignore[arg-type]

    @property
    def _seconds(self) -> float:
        """Estimated seconds of the job on the CPU."""
        flops = self.context.job_tokens * self.shape.flops_per_token(128)
        return flops / (_FLOPS_PER_CORE[self.precision] * self.threads)


def make_plan(
    spec: ModelSpec, folder: Path, options: EngineOptions, context: LoadContext
) -> EnginePlan:
    """Return the plan for the user's options.

    Raises:
        UsageError: this machine does not support the options.
    """
    shape = read_shape(folder)
    device = hardware.choose_device(options.device)
    precision = hardware.choose_precision(options.precision, device)
    _check_engine(options.engine, device)
    key = profile_key(spec.name, hardware.device_name(device), precision)
    profile = context.profiles.recall(key) if context.profiles is not None else Profile()
    requested = options.batch_tokens
    kind = device.partition(":")[0]
    preferred = requested or profile.batch_tokens or _BATCH_TOKENS[kind]
    threads = options.threads or profile.threads or hardware.cores()
    bytes_per_token = fused.streams(threads) * shape.bytes_per_token(spec.max_tokens)
    limit = _max_tokens(bytes_per_token) if kind == "cpu" else None
    if requested and limit is not None and requested > limit:
        message = (
            f"--batch-tokens {requested} would take more than half of the free memory. Use at "
            f"most: --batch-tokens {limit}"
        )
        raise UsageError(message)
    budget = preferred if limit is None else max(1, min(preferred, limit))
    return EnginePlan(
        spec, folder, shape, options, context, device, precision, key, profile, budget
    )


def check_folder(spec: ModelSpec, folder: Path, shape: ModelShape) -> None:
    """Reject a model whose vectors would silently differ from those of sentence-transformers.

    Raises:
        ModelChangedError: the folder contradicts the spec, or cannot be used.
    """
    reason = None
    if "StaticEmbedding" in shape.modules and not shape.is_static:
        reason = "is a static model with modules that are not supported"
    elif shape.pooling is not None and shape.pooling != spec.pooling:
        reason = f"uses pooling '{shape.pooling}', but models.toml says '{spec.pooling}'"
    elif shape.stored_layers not in (0, shape.layers):
        reason = f"has {shape.layers} layers in config.json, but {shape.stored_layers} stored"
    elif shape.leaves_prompt_out and (spec.query_prompt or spec.document_prompt):
        reason = "leaves its prompt out of the mean, which is not supported"
    if reason is not None:
        message = (
            f"The model in {folder} {reason}. Fix the block '{spec.name}' in models.toml, or put "
            "back the published files."
        )
        raise ModelChangedError(message)


def check_dim(spec: ModelSpec, actual: int) -> None:
    """Check a model's dimensions against the spec.

    Raises:
        ModelChangedError: they differ.
    """
    expected = spec.whole_dim or spec.dim
    if actual != expected:
        message = (
            f"Model '{spec.name}' has {actual} dimensions, but models.toml says {expected}. Fix "
            "the key 'dim'."
        )
        raise ModelChangedError(message)


def _check_engine(requested: str, device: str) -> None:
    if requested in ("fused", "compile", "openvino") and device != "cpu":
        message = f"--engine {requested} runs only on the CPU. Add: --device cpu"
        raise UsageError(message)
    if requested == "openvino" and not openvino.is_installed():
        message = "--engine openvino is not installed. Run: pip install 'localembed[openvino]'"
        raise UsageError(message)
    if requested == "compile" and not hardware.has_compiler():
        message = "--engine compile needs a C++ compiler on the PATH. Use: --engine torch"
        raise UsageError(message)


def _max_tokens(bytes_per_token: int) -> int | None:
    """Return how many padded tokens fit into half of the free memory; None if unknown."""
    free = hardware.free_memory()
    return None if free is None else int(free * _SHARE_OF_MEMORY / max(1, bytes_per_token))
