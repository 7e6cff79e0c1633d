"""The sentence-transformers backend: choose an engine and load an embedder with it."""

from __future__ import annotations

import contextlib
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from localembed.embedding.engine_choice import EnginePlan, check_dim, check_folder, make_plan
from localembed.embedding.engines import hardware, openvino, openvino_convert
from localembed.embedding.engines.bert import is_bert, read_bert
from localembed.embedding.engines.fused import FusedEngine
from localembed.embedding.engines.numpy_bert import LightEngine
from localembed.embedding.engines.openvino import OpenVinoEngine
from localembed.embedding.engines.static import StaticEngine
from localembed.embedding.local_embedder import LocalEmbedder, SpecialTokens
from localembed.embedding.model_shape import ModelShape, module_file, read_shape
from localembed.embedding.options import EngineOptions, LoadContext, Profile, query_key
from localembed.embedding.probe import (
    MIN_COSINE,
    ProbeFailure,
    ProbeRecord,
    load_probed,
    make_batches,
    references_of_fused,
    torch_version,
    with_versions,
)
from localembed.embedding.tokenizers.fast import FastTokenizer
from localembed.errors import UsageError
from localembed.types.models import ModelSpec

if TYPE_CHECKING:
    from localembed.embedding.engines.torch import TorchEngine
    from localembed.types.arrays import Vector

_STATIC_BATCH_TOKENS = 65_536
_PROBES = (
    "rotating api keys",
    "parse_config(path) raises ValueError",
    "Which of the two is faster, and by how much, when a disk is nearly full? 北京, naïve, 3.14",
)


def load_embedder(
    spec: ModelSpec, folder: Path, options: EngineOptions, context: LoadContext
) -> LocalEmbedder:
    """Return the loaded model (see `backends.Backend.load`)."""
    shape = read_shape(folder)
    check_folder(spec, folder, shape)
    tokenizer = FastTokenizer(folder)
    if shape.is_static:
        return _static(spec, folder, shape, tokenizer, options)
    plan = make_plan(spec, folder, options, context)
    special_tokens = SpecialTokens(*tokenizer.special_ids())
    engine = (
        _converted(plan, tokenizer.vocabulary)
        or _fused(plan, tokenizer, special_tokens)
        or _torch(plan)
    )
    embedder = LocalEmbedder(
        spec,
        tokenizer,
        special_tokens,
        engine,
        plan.budget,
        on_smaller=lambda tokens: plan.keep(batch_tokens=tokens),
    )
    _probe_numpy(embedder, folder, shape, context)
    return embedder


def load_query_embedder(
    spec: ModelSpec, folder: Path, options: EngineOptions, context: LoadContext
) -> LocalEmbedder:
    """Return an embedder for queries (see `backends.Backend.load_for_queries`)."""
    shape = read_shape(folder)
    embedder = None
    if options.engine == "auto" and _query_engine(context) == LightEngine.name:
        embedder = _numpy_embedder(spec, folder, shape)
    if embedder is not None:
        return embedder
    requested = replace(
        options,
        device="cpu",
        engine="auto" if options.engine == "compile" else options.engine,
        precision="auto" if options.precision == "fp16" else options.precision,
    )
    return load_embedder(spec, folder, requested, context)


def _query_engine(context: LoadContext) -> str | None:
    """Return the engine that is stored for queries, None if there is none."""
    if context.profiles is None or context.model_id is None:
        return None
    return context.profiles.recall(with_versions(query_key(context.model_id))).engine


def _numpy_embedder(spec: ModelSpec, folder: Path, shape: ModelShape) -> LocalEmbedder | None:
    """Return the model in NumPy, None if NumPy cannot run it."""
    if not is_bert(shape):
        return None
    try:
        bert = read_bert(folder, shape)
        engine = LightEngine(bert, normalize=spec.normalize or shape.normalizes)
    except (OSError, ValueError, KeyError):
        return None
    tokenizer = FastTokenizer(folder)
    return LocalEmbedder(
        spec, tokenizer, SpecialTokens(*tokenizer.special_ids()), engine, spec.max_tokens
    )


def _probe_numpy(
    embedder: LocalEmbedder, folder: Path, shape: ModelShape, context: LoadContext
) -> None:
    """Compare the model in NumPy with the loaded one, once, and store the outcome."""
    profiles, model_id = context.profiles, context.model_id
    if profiles is None or model_id is None or _query_engine(context) is not None:
        return
    in_numpy = _numpy_embedder(embedder.spec, folder, shape)
    engine = embedder.engine
    try:
        ours = [in_numpy.embed_query(text) for text in _PROBES] if in_numpy is not None else []
    except Exception as error:  # noqa: BLE001 - a changed NumPy may raise anything
        if hardware.is_out_of_memory(error):
            return
        ours = []
    min_cosine = MIN_COSINE[engine.precision]
    same = bool(ours) and all(
        _cosine(vector, embedder.embed_query(text)) >= min_cosine
        for vector, text in zip(ours, _PROBES, strict=True)
    )
    key = with_versions(query_key(model_id))
    profiles.keep(key, Profile(engine=LightEngine.name if same else engine.name))


def _cosine(left: Vector, right: Vector) -> float:
    lengths = float(np.linalg.norm(left)) * float(np.linalg.norm(right))
    return float(left @ right) / max(lengths, 1e-12)


def _static(
    spec: ModelSpec,
    folder: Path,
    shape: ModelShape,
    tokenizer: FastTokenizer,
    options: EngineOptions,
) -> LocalEmbedder:
    """Load a table of word vectors, which has no device, precision or special tokens."""
    normalize = spec.normalize or shape.normalizes
    engine = StaticEngine(module_file(folder, "model.safetensors"), normalize=normalize)
    check_dim(spec, engine.dim)
    nothing = np.zeros(0, np.int32)
    budget = options.batch_tokens or _STATIC_BATCH_TOKENS
    return LocalEmbedder(spec, tokenizer, SpecialTokens(nothing, nothing), engine, budget)


def _converted(plan: EnginePlan, vocabulary: int) -> OpenVinoEngine | None:
    """Return the model in OpenVINO if that was requested, or is faster, as measured once."""
    requested = plan.options.engine == "openvino"
    if not requested and (plan.options.engine != "auto" or not openvino.is_installed()):
        return None
    target = plan.converted
    if target is None:
        _refuse_if_requested(plan)
        return None
    if not (target.exists() and (requested or plan.profile.engine == "openvino")):
        if not requested and not plan.converting_pays:
            return None
        if not _convert(plan, target, vocabulary) and not requested:
            return None
    try:
        return OpenVinoEngine(
            target, plan.precision, pooling=plan.spec.pooling, normalize=plan.normalizes,
            padding=plan.padding, threads=plan.threads,
        )  # fmt: skip
    except RuntimeError:
        # A converted model can be damaged like any cached file; the next run converts it again.
        target.unlink(missing_ok=True)
        _refuse_if_requested(plan)
        return None


def _refuse_if_requested(plan: EnginePlan) -> None:
    """Allow another engine, unless OpenVINO was requested.

    Raises:
        UsageError: OpenVINO was requested.
    """
    if plan.options.engine == "openvino":
        message = f"Model '{plan.spec.name}' cannot be used with OpenVINO. Use: --engine torch"
        raise UsageError(message)


def _convert(plan: EnginePlan, target: Path, vocabulary: int) -> bool:
    """Convert the model, once, and store whether that made it faster."""
    plan.context.on_notice("Converting the model for OpenVINO, once; this takes about 25 s.")
    job = openvino_convert.ConversionJob(
        model=str(plan.folder),
        converted=str(target),
        precision=plan.precision,
        pooling=plan.spec.pooling,
        normalize=plan.normalizes,
        pad_id=plan.shape.pad_id,
        vocabulary=vocabulary,
        max_tokens=plan.spec.max_tokens,
        threads=plan.threads,
    )
    conversion = openvino_convert.convert_in_child(job)
    if conversion is None:
        _refuse_if_requested(plan)
    better = conversion is not None and conversion.is_better
    plan.keep(engine="openvino" if better else "fused" if plan.fusible else "torch")
    return better


def _fused(
    plan: EnginePlan, tokenizer: FastTokenizer, special_tokens: SpecialTokens
) -> FusedEngine | None:
    """Return the model in the fused engine; None if that is not possible or failed its probe.

    Raises:
        UsageError: the fused engine was requested and cannot be used.
    """
    requested = plan.options.engine == "fused"
    if not requested and plan.options.engine != "auto":
        return None
    name = plan.spec.name
    engine: FusedEngine | ProbeFailure | None = None
    if plan.fusible:
        with contextlib.suppress(OSError, ValueError):
            engine = _probed_fused(plan, tokenizer, special_tokens)
    if isinstance(engine, FusedEngine):
        return engine
    problem = f"does not support model '{name}'"
    if engine is not None:
        problem = f"does not work with model '{name}' in torch {torch_version()} ({engine.reason})"
        if engine.is_new and not requested:
            plan.context.on_notice(f"The fused engine {problem}; the torch engine is used.")
    if requested:
        message = f"--engine fused {problem}. Use: --engine torch"
        raise UsageError(message)
    return None


def _probed_fused(
    plan: EnginePlan, tokenizer: FastTokenizer, special_tokens: SpecialTokens
) -> FusedEngine | ProbeFailure:
    """Load the fused engine and compare it with a reference, once.

    Raises:
        OSError: a file of the model is missing.
        ValueError: the model differs from BERT.
        ModelChangedError: its dimensions differ from models.toml.
    """
    bert = read_bert(plan.folder, plan.shape)
    precision, normalize = _confirmed_precision(plan), plan.normalizes

    def load() -> FusedEngine:
        engine = FusedEngine(bert, precision, normalize=normalize, threads=plan.threads)
        check_dim(plan.spec, engine.dim)
        return engine

    context = plan.context
    return load_probed(
        load,
        references_of_fused(bert, plan.folder, plan.padding, normalize=normalize),
        make_batches(tokenizer, special_tokens, plan.spec.max_tokens),
        ProbeRecord(context.profiles, context.model_id, FusedEngine.name, precision),
    )


def _confirmed_precision(plan: EnginePlan) -> str:
    """Return the precision: fp32 instead of an automatic bf16 if the CPU is slow in it."""
    import torch

    auto_bf16 = (
        plan.device == "cpu" and plan.options.precision == "auto" and plan.precision == "bf16"
    )
    return "fp32" if auto_bf16 and not hardware.bf16_is_fast(torch) else plan.precision


def _torch(plan: EnginePlan) -> TorchEngine:
    """Load the model into torch."""
    import torch

    from localembed.embedding.engines.torch_model import load_model

    if plan.device == "cpu":
        torch.set_num_threads(plan.threads)
    precision = _confirmed_precision(plan)
    model = load_model(plan.folder, plan.device, precision)
    check_dim(plan.spec, int(model.get_embedding_dimension() or 0))
    kind = _torch_kind(model, plan.device, precision)
    engine = kind(model, plan.device, precision, padding=plan.padding, normalize=plan.normalizes)
    requested = plan.options.engine
    if requested == "compile" or (requested == "auto" and plan.compiling_pays):
        _compile(engine, plan)
    return engine


def _torch_kind(model: Any, device: str, precision: str) -> type[TorchEngine]:  # noqa: ANN401
    """Return the engine without padding if the GPU and the model's family support it."""
    from localembed.embedding.engines import packed
    from localembed.embedding.engines.torch import TorchEngine

    family = getattr(model[0].auto_model.config, "model_type", "")
    packs = (
        device.startswith("cuda")
        and precision != "fp32"
        and family in packed.FAMILIES
        and packed.is_available()
    )
    return packed.PackedEngine if packs else TorchEngine


def _compile(engine: TorchEngine, plan: EnginePlan) -> None:
    """Compile the model, and report how long it took.

    Raises:
        UsageError: compiling was requested and failed.
    """
    plan.context.on_notice("Compiling the model; this takes about half a minute.")
    warnings.filterwarnings("ignore", module="torch._inductor")
    begin = time.perf_counter()
    if engine.compile():
        plan.context.on_notice(f"Compiled in {time.perf_counter() - begin:.0f} s.")
    elif plan.options.engine == "compile":
        message = "--engine compile: torch could not compile the model here. Use: --engine torch"
        raise UsageError(message)
