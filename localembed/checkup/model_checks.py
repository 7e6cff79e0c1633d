"""Check that the model and the machine still produce the stored vectors."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from localembed import models
from localembed.checkup.finding import REFRESH, CheckContext, note, ok, wrong
from localembed.chunking import clean
from localembed.embedding import (
    backend_of,
    cpu_has_bf16,
    device_name,
    load_embedder,
    load_tokenizer,
)
from localembed.errors import LocalembedError, WorkspaceError
from localembed.models import LocatedModel
from localembed.store.lance.inspection import Inspection
from localembed.types.findings import Finding
from localembed.types.models import ModelInput
from localembed.types.tables import TableHead
from localembed.workspace.settings import engine_options, load_context

_SAMPLE_TEXTS = 20
"""Number of stored texts to embed again."""
_MIN_COSINE = 0.999
"""Minimum cosine between a stored vector and the same text embedded again."""


def check_model(context: CheckContext, name: str, entry: TableHead) -> Iterator[Finding]:
    """Hash the files of a table's model, load it, and embed a sample of stored texts again."""
    try:
        model = models.open_stored(entry.model, entry.dim, context.layout, rehash=True)
    except LocalembedError as error:
        yield wrong("model", str(error))
        return
    if model.space_id != entry.space_id:
        text = f"The files or settings of {entry.model} are not those the index was built with"
        yield wrong("model", text, REFRESH)
        return
    if backend_of(model.spec).provider is None:
        yield ok("model", f"{entry.model}: all files match their hashes")
    try:
        yield from _drift(context, name, entry, model)
    except LocalembedError as error:
        yield wrong("drift", str(error))


def _drift(
    context: CheckContext, name: str, entry: TableHead, model: LocatedModel
) -> Iterator[Finding]:
    if backend_of(model.spec).provider is not None:
        yield note("drift", f"{entry.model} is a remote model; doctor sends it no requests")
        return
    options = engine_options(context.settings)
    remembered = load_context(model.space_id)
    embedder = load_embedder(model.spec, model.folder, options, context=remembered)
    try:
        stored = Inspection(context.layout.table(name), entry.lance_version).chunks(_SAMPLE_TEXTS)
    except WorkspaceError:
        return  # reported by the table's own checks
    if not stored:
        yield note("drift", "No vectors are stored yet")
        return
    tokenizer = load_tokenizer(model.spec, model.folder)
    prompt = model.spec.document_prompt
    texts = [prompt + clean.clean(chunk.text) for chunk in stored]
    inputs = [ModelInput(x, t.ids) for x, t in zip(texts, tokenizer(texts), strict=True)]
    vectors = embedder.embed_documents(inputs).vectors
    yield _device(embedder.use.device, embedder.use.engine, embedder.use.precision)
    worst = min(_cosine(a, chunk.vector) for a, chunk in zip(vectors, stored, strict=True))
    if worst >= _MIN_COSINE:
        yield ok("drift", f"{len(stored)} texts embedded again: minimum cosine {worst:.5f}")
        return
    text = (
        f"{len(stored)} texts embedded again: minimum cosine {worst:.4f}. A library, a driver or "
        "the weights changed; new vectors are not comparable with the stored ones"
    )
    yield wrong("drift", text)


def _device(device: str, engine: str, precision: str) -> Finding:
    flags = " with bf16" if device == "cpu" and cpu_has_bf16() else ""
    return ok("device", f"{device_name(device)}{flags}: {engine} in {precision} works")


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-12))
