"""The sentence-transformers backend: which engine embeds, on which device, in which precision."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from localembed.embedding import hardware, openvino_engine
from localembed.embedding.embedder import Frame, LocalEmbedder
from localembed.embedding.engine import Engine
from localembed.embedding.options import EngineOptions, Profile, profile_key
from localembed.embedding.shape import ModelShape, read_shape
from localembed.embedding.static_engine import StaticEngine
from localembed.embedding.tokenizer import FastTokenizer
from localembed.errors import ModelChangedError, UsageError
from localembed.types import ModelSpec, Tokenizer

if TYPE_CHECKING:
    from localembed.embedding.torch_engine import TorchEngine
    from localembed.types import IntArray

_BATCH_TOKENS = {"cpu": 4096, "cuda": 131_072, "mps": 16_384}
"""Padded tokens of one forward pass: on two cores with AMX the fastest of 512-8,192."""
_STATIC_BATCH_TOKENS = 65_536
_SHARE_OF_MEMORY = 0.5
_FLOPS_PER_CORE = {"fp32": 0.1e12, "bf16": 0.33e12}
"""What a core was seen to do, to guess how long a job takes."""
_CONVERTING_PAYS_AFTER = 120.0
"""Seconds of embedding; converting and comparing take about 25 s, once for a model."""
_COMPILING_TAKES = 30.0
_COMPILING_GAINS = {"fp32": 1.10, "bf16": 1.33}


def load_tokenizer(_spec: ModelSpec, folder: Path) -> Tokenizer:
    """Return the model's tokenizer (see `embedding.load_tokenizer`)."""
    return FastTokenizer(folder)


def load_embedder(spec: ModelSpec, folder: Path, options: EngineOptions) -> LocalEmbedder:
    """Return the loaded model (see `embedding.load_embedder`)."""
    shape = read_shape(folder)
    tokenizer = FastTokenizer(folder)
    _check(spec, folder, shape)
    if shape.is_static:
        nothing: IntArray = np.zeros(0, np.int32)
        static = StaticEngine(_first_module(folder), normalize=_normalizes(spec, shape))
        _check_dim(spec, static.dim)
        frame = Frame(nothing, nothing)
        budget = options.batch_tokens or _STATIC_BATCH_TOKENS
        return LocalEmbedder(spec, tokenizer, frame, static, budget)
    plan = _plan(spec, shape, options)
    engine = _engine(spec, folder, tokenizer, plan)
    before, after = tokenizer.special_ids()
    return LocalEmbedder(
        spec,
        tokenizer,
        Frame(before, after),
        engine,
        plan.budget,
        on_smaller=lambda tokens: plan.keep(replace(plan.profile, batch_tokens=tokens)),
    )


def _check(spec: ModelSpec, folder: Path, shape: ModelShape) -> None:
    """Refuse what would silently give other vectors than the library does.

    Raises:
        ModelChangedError: the folder contradicts the spec, or cannot be used.
    """
    reason = None
    if "StaticEmbedding" in shape.modules and not shape.is_static:
        reason = "is a static model with modules that are not supported"
    elif shape.pooling is not None and shape.pooling != spec.pooling:
        reason = f"pools by '{shape.pooling}', models.toml says '{spec.pooling}'"
    elif shape.leaves_prompt_out and (spec.query_prompt or spec.document_prompt):
        reason = "leaves its prompt out of the mean, which is not supported"
    if reason is not None:
        message = f"The model in {folder} {reason}. Mend the block '{spec.name}' in models.toml."
        raise ModelChangedError(message)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What was asked for, checked, with what is known of this machine."""

    options: EngineOptions
    shape: ModelShape
    device: str
    precision: str
    key: str
    profile: Profile
    budget: int

    def keep(self, profile: Profile) -> None:
        """Remember what was found out."""
        if self.options.memory is not None:
            self.options.memory.keep(self.key, profile)

    @property
    def threads(self) -> int:
        """Of a forward pass on a processor."""
        return self.options.threads or self.profile.threads or hardware.cores()

    @property
    def seconds(self) -> float:
        """About how long the job takes on a processor."""
        flops = self.options.job_tokens * self.shape.flops_per_token(128)
        return flops / (_FLOPS_PER_CORE[self.precision] * self.threads)


def _plan(spec: ModelSpec, shape: ModelShape, options: EngineOptions) -> _Plan:
    """Check what was asked for before any model is loaded."""
    device = hardware.choose_device(options.device)
    precision = hardware.choose_precision(options.precision, device)
    key = profile_key(spec.name, hardware.device_name(device), precision)
    profile = options.memory.recall(key) if options.memory is not None else Profile()
    budget = _budget(spec, shape, options, profile, device)
    return _Plan(options, shape, device, precision, key, profile, budget)


def _budget(
    spec: ModelSpec, shape: ModelShape, options: EngineOptions, profile: Profile, device: str
) -> int:
    """Return the padded tokens of a batch, no more than memory holds.

    Raises:
        UsageError: the budget that was asked for cannot fit.
    """
    asked = options.batch_tokens
    budget = asked or profile.batch_tokens or _BATCH_TOKENS[device.partition(":")[0]]
    free = hardware.free_memory() if device == "cpu" else None
    if free is None:
        return budget
    most = int(free * _SHARE_OF_MEMORY / max(1, shape.bytes_per_token(spec.max_tokens)))
    if asked and asked > most:
        message = (
            f"--batch-tokens {asked} would take more than half of the {free / 2**30:.1f} GiB of "
            f"memory that are free. Use at most: --batch-tokens {most}"
        )
        raise UsageError(message)
    return max(1, min(budget, most))


def _engine(spec: ModelSpec, folder: Path, tokenizer: FastTokenizer, plan: _Plan) -> Engine:
    asked = plan.options.engine
    if asked in ("compile", "openvino") and plan.device != "cpu":
        message = f"--engine {asked} works on the processor. Add: --device cpu"
        raise UsageError(message)
    if asked == "openvino" and not openvino_engine.is_installed():
        message = "--engine openvino is not installed. Run: pip install 'localembed[openvino]'"
        raise UsageError(message)
    if asked == "compile" and not hardware.has_compiler():
        message = "--engine compile needs a C++ compiler on the path. Use: --engine torch"
        raise UsageError(message)
    if asked in ("auto", "openvino") and plan.device == "cpu":
        converted = _openvino(spec, folder, tokenizer, plan)
        if converted is not None:
            return converted
    return _torch(spec, folder, plan)


def _openvino(
    spec: ModelSpec, folder: Path, tokenizer: FastTokenizer, plan: _Plan
) -> Engine | None:
    """Return the converted model if it was asked for, or is there and known to be faster."""
    options, asked = plan.options, plan.options.engine == "openvino"
    usable = (
        openvino_engine.is_installed()
        and options.memory is not None
        and options.model_id is not None
        and plan.shape.is_plain
        and spec.pooling in openvino_engine.POOLINGS
    )
    if not usable or options.memory is None or options.model_id is None:
        return _cannot_convert(spec) if asked else None
    target = openvino_engine.converted_path(options.memory.folder, options.model_id)
    known = plan.profile.engine
    if not (target.exists() and (asked or known == "openvino")):
        pays = known is None and plan.seconds > _CONVERTING_PAYS_AFTER
        if not asked and not pays:
            return None
        faster = _convert(spec, folder, tokenizer, plan, target)
        if not asked and not faster:
            return None
    return openvino_engine.OpenVinoEngine(
        target, plan.precision, pooling=spec.pooling, normalize=_normalizes(spec, plan.shape),
        pad_id=plan.shape.pad_id, threads=plan.threads,
    )  # fmt: skip


def _cannot_convert(spec: ModelSpec) -> Engine:
    message = f"Model '{spec.name}' cannot be used with OpenVINO. Use: --engine torch"
    raise UsageError(message)


def _convert(
    spec: ModelSpec, folder: Path, tokenizer: FastTokenizer, plan: _Plan, target: Path
) -> bool:
    """Convert a model once, and remember which engine is faster."""
    from localembed.embedding.convert import ConversionJob, convert_in_child

    plan.options.on_notice("Converting the model for OpenVINO, once; this takes about 25 s.")
    job = ConversionJob(
        model=str(folder),
        converted=str(target),
        precision=plan.precision,
        pooling=spec.pooling,
        normalize=_normalizes(spec, plan.shape),
        pad_id=plan.shape.pad_id,
        vocabulary=tokenizer.vocabulary,
        max_tokens=spec.max_tokens,
        threads=plan.threads,
    )
    found = convert_in_child(job)
    if found is None and plan.options.engine == "openvino":
        _cannot_convert(spec)
    better = found is not None and found.is_better
    plan.keep(replace(plan.profile, engine="openvino" if better else "torch"))
    return better


def _torch(spec: ModelSpec, folder: Path, plan: _Plan) -> Engine:
    """Load the model into torch."""
    import torch

    from localembed.embedding import torch_engine
    from localembed.embedding.torch_model import load_model

    precision = plan.precision
    if plan.device == "cpu":
        torch.set_num_threads(plan.threads)
        unsure = plan.options.precision == "auto" and precision == "bf16"
        if unsure and not hardware.bf16_is_fast(torch):
            precision = "fp32"
    model = load_model(folder, plan.device, precision)
    _check_dim(spec, int(model.get_embedding_dimension() or 0))
    packed = _packed(model, plan.device, precision)
    kind = packed or torch_engine.TorchEngine
    engine: TorchEngine = kind(
        model, plan.device, precision, pad_id=plan.shape.pad_id, normalize=spec.normalize
    )
    if plan.options.engine == "compile" or (
        plan.options.engine == "auto" and _compiling_pays(plan)
    ):
        _compile(engine, plan)
    return engine


def _compile(engine: TorchEngine, plan: _Plan) -> None:
    """Compile, and say what it cost.

    Raises:
        UsageError: it was asked for and did not work.
    """
    plan.options.on_notice("Compiling the model; this takes about half a minute.")
    warnings.filterwarnings("ignore", module="torch._inductor")
    begin = time.perf_counter()
    if engine.compile():
        plan.options.on_notice(f"Compiled in {time.perf_counter() - begin:.0f} s.")
    elif plan.options.engine == "compile":
        message = "--engine compile: torch could not compile the model here. Use: --engine torch"
        raise UsageError(message)


def _packed(model: Any, device: str, precision: str) -> Any | None:  # noqa: ANN401 - torch types
    """Return the engine without padding where the GPU and the model's family can use it."""
    if not device.startswith("cuda") or precision == "fp32":
        return None
    from localembed.embedding import packed_engine

    family = getattr(model[0].auto_model.config, "model_type", "")
    if family not in packed_engine.FAMILIES or not packed_engine.is_available():
        return None
    return packed_engine.PackedEngine


def _compiling_pays(plan: _Plan) -> bool:
    """Tell whether a job is long enough, with a margin of two, and there is a compiler."""
    if plan.device != "cpu" or not hardware.has_compiler():
        return False
    saved = plan.seconds * (1 - 1 / _COMPILING_GAINS[plan.precision])
    return saved > 2 * _COMPILING_TAKES


def _normalizes(spec: ModelSpec, shape: ModelShape) -> bool:
    return spec.normalize or "Normalize" in shape.modules


def _check_dim(spec: ModelSpec, found: int) -> None:
    if found != spec.dim:
        message = (
            f"Model '{spec.name}' gives vectors of {found} numbers, models.toml says {spec.dim}. "
            "Mend the key 'dim'."
        )
        raise ModelChangedError(message)


def _first_module(folder: Path) -> Path:
    """Return where a static model's weights lie."""
    inner = sorted(folder.glob("0_*/model.safetensors"))
    return inner[0].parent if inner and not (folder / "model.safetensors").exists() else folder
