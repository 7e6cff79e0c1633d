"""The JSON form of everything that a command prints with `--json` (docs/json.md).

A form takes the record of its command, or plain values where the record belongs to a higher layer.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from localembed.core.text import show_path
from localembed.types.documents import Note, Root
from localembed.types.findings import Checkup
from localembed.types.listing import FileListing, ListedFile
from localembed.types.models import EngineUse, ListedModel
from localembed.types.queries import QueryResult, SearchHit
from localembed.types.runs import Preview, RunReport
from localembed.types.serving import ServerStatus
from localembed.types.tables import (
    Changes,
    Garbage,
    MovedRoot,
    RootListing,
    Status,
    Version,
)
from localembed.types.trust import Permission, TrustedWorkspace

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Form = dict[str, Any]


def report_json(report: RunReport | None) -> Form:
    """Return the form of a run's report; None if nothing was indexed yet."""
    if report is None:
        return {"run": None, "changed": False}
    return {
        "run": report.run,
        "version": report.version,
        "model": report.model,
        "changed": report.changed,
        "files": asdict(report.files),
        "chunks": asdict(report.chunks),
        "tokens": asdict(report.tokens),
        "bytes": report.bytes,
        "seconds": round(report.seconds, 3),
        "stages": {name: round(seconds, 3) for name, seconds in report.stages.items()},
        "busy": {side: round(share, 3) for side, share in report.busy.items()},
        "bottleneck": report.bottleneck,
        "engine": _engine(report.engine),
        "skipped": _notes(report.skipped),
        "failures": _notes(report.failures),
        "encodings": [{**asdict(note), "path": show_path(note.path)} for note in report.encodings],
        "refused": list(report.refused),
        "left_out": _notes(report.left_out),
        "largest": [_file_chunks(file) for file in report.largest],
    }


def preview_json(preview: Preview) -> Form:
    """Return the form of what a run would do."""
    return {
        "dry_run": True,
        "model": preview.model,
        "server": preview.price.server,
        **asdict(preview.estimate),
        "minutes": preview.price.minutes,
        "usd": preview.price.usd,
        "price_date": preview.price.price_date,
    }


def query_json(result: QueryResult) -> Form:
    """Return the form of a query's result."""
    return {
        "query": result.query,
        "mode": result.mode,
        "version": result.version,
        "model": result.model,
        "pieces": result.pieces,
        "readable": result.readable,
        "good": result.good,
        "seconds": round(result.seconds, 4),
        "hits": [hit_json(rank, hit) for rank, hit in enumerate(result.hits, start=1)],
    }


def hit_json(rank: int, hit: SearchHit) -> Form:
    """Return the form of one hit."""
    around = {"before": hit.before, "after": hit.after} if hit.before or hit.after else {}
    return {
        "rank": rank,
        "score": round(hit.score, 6),
        "confidence": None if hit.confidence is None else round(hit.confidence, 3),
        **_paths(hit.path_bytes or os.fsencode(hit.path)),
        "start_line": hit.start_line,
        "end_line": hit.end_line,
        "line": hit.line or hit.start_line,
        "start": hit.start,
        "end": hit.end,
        "heading": hit.heading,
        "text": hit.text,
        "chunk_id": hit.chunk_id,
        "tokens": hit.tokens,
        "similarity": round(hit.similarity, 6),
        "text_score": round(hit.text_score, 4),
        "vector_rank": hit.vector_rank,
        "text_rank": hit.text_rank,
        "found_rank": hit.found_rank,
        "stale": hit.stale,
        "also": [{**asdict(place), "score": round(place.score, 6)} for place in hit.also],
        **around,
    }


def show_json(place: str, hits: Sequence[SearchHit]) -> Form:
    """Return the form of the chunks of a place."""
    return {"place": place, "hits": [hit_json(rank, hit) for rank, hit in enumerate(hits, 1)]}


def status_json(status: Status) -> Form:
    """Return the form of a status."""
    return {
        "workspace": str(status.workspace),
        "model": status.model,
        "table": status.table,
        "version": status.version,
        "complete": status.complete,
        "vector_recall": status.vector_index.recall if status.vector_index else None,
        "files": status.files,
        "chunks": status.chunks,
        "unreadable": status.unreadable,
        "roots": [_root(root) for root in status.roots],
        "unknown_roots": _unknown_roots(status.unknown_roots),
        "disk_bytes": status.disk_bytes,
        "pending_bytes": status.pending_bytes,
        "failures": _notes(status.failures),
        "running": dict(status.running) if status.running else None,
        "other_tables": {name: asdict(entry) for name, entry in status.other_tables.items()},
    }


def roots_json(listing: RootListing) -> Form:
    """Return the form of all roots."""
    return {
        "roots": [
            {**_root(listed.root), "files": listed.files, "missing": listed.missing}
            for listed in listing.roots
        ],
        "unknown_roots": [
            {**asdict(root), "example": show_path(root.example)} for root in listing.unknown
        ],
    }


def files_json(listing: FileListing) -> Form:
    """Return the form of the files of an index."""
    skipped = None if listing.skipped is None else _notes(listing.skipped)
    files = [{**_file_chunks(file), "state": file.state} for file in listing.files]
    return {"files": files, "failures": _notes(listing.failures), "skipped": skipped}


def moved_root_json(moved: MovedRoot) -> Form:
    """Return the form of a root that was pointed to another path."""
    return {
        "root_id": moved.root.root_id,
        "old": show_path(moved.old) or None,
        "new": show_path(moved.root.path),
        "looked_at": moved.looked_at,
        "found": moved.found,
    }


def settings_json(settings: DataclassInstance, origins: Mapping[str, str]) -> Form:
    """Return the form of each setting with its origin."""
    values = asdict(settings)
    each = {name: {"value": values[name], "from": origin} for name, origin in origins.items()}
    return {"settings": each}


def init_json(workspace: Path, *, created: bool) -> Form:
    """Return the form of a workspace that `init` made or found."""
    return {"workspace": str(workspace), "created": created}


def server_json(status: ServerStatus | None, *, stopped: bool = False) -> Form:
    """Return the form of what the server has open; None if it is not running."""
    state = {"running": status is not None, "stopped": stopped}
    if status is None:
        return state
    form = asdict(status)
    for entry in form["workspaces"]:
        entry["idle_seconds"] = round(entry["idle_seconds"], 1)
    return {**state, **form}


def checkup_json(checkup: Checkup) -> Form:
    """Return the form of what `doctor` found."""
    return {"verdict": checkup.verdict, **asdict(checkup)}


def versions_json(versions: Sequence[Version]) -> Form:
    """Return the form of the versions that can be restored."""
    return {"versions": [_version(version) for version in versions]}


def changes_json(old: str, new: str, changes: Changes) -> Form:
    """Return the form of the differences between two versions."""
    return {"old": old, "new": new, **asdict(changes)}


def tag_json(name: str, run: int | None) -> Form:
    """Return the form of a tag; without a run it was deleted."""
    return {"tag": name, "run": run}


def restore_json(report: RunReport, version: str) -> Form:
    """Return the form of a restored version."""
    return {"run": report.run, "restored": version}


def garbage_json(garbage: Garbage, freed_bytes: int | None) -> Form:
    """Return the form of what a clean-up deletes; None bytes before it is done."""
    return {"dropped": garbage.runs, "tables": garbage.tables, "freed_bytes": freed_bytes}


def model_list_json(models: Sequence[ListedModel], speeds: Mapping[str, float]) -> Form:
    """Return the form of all known models, with the chunks per second that `bench` measured."""
    return {"models": [_listed(model, speeds) for model in models]}


def model_block_json(name: str, block: Mapping[str, object]) -> Form:
    """Return the form of a model that was added: its block of models.toml."""
    return {"model": {"name": name, **block}}


def model_use_json(name: str, *, indexed: bool) -> Form:
    """Return the form of a model that is used from now on."""
    return {"model": name, "indexed": indexed}


def model_pull_json(name: str, folder: Path, fetched_bytes: int) -> Form:
    """Return the form of a model that was fetched."""
    return {"model": name, "folder": str(folder), "fetched_bytes": fetched_bytes}


def model_removal_json(name: str, removed: Path | None, stays: Path | None) -> Form:
    """Return the form of a model that was removed."""
    return {"model": name, "removed": _path(removed), "stays": _path(stays)}


def model_checks_json(checks: Sequence[tuple[DataclassInstance, Path | None]]) -> Form:
    """Return the form of verified models, each with its folder."""
    return {"models": [{**asdict(check), "folder": _path(folder)} for check, folder in checks]}


def bundle_json(file: Path, models: Sequence[str], files: int, chunks: int, size: int) -> Form:
    """Return the form of a bundle: its models, and the files, chunks and bytes in it."""
    return {
        "file": str(file), "files": files, "models": list(models), "chunks": chunks, "bytes": size
    }  # fmt: skip


def bundle_install_json(
    installed: Sequence[str],
    present: Sequence[str],
    workspace: Path | None,
    roots: Sequence[Root] = (),
) -> Form:
    """Return the form of what a bundle brought, and what was there already."""
    return {
        "installed": list(installed),
        "present": list(present),
        "workspace": _path(workspace),
        "roots": list(map(_root, roots)),
    }


def bench_json(  # noqa: PLR0913 - one argument a key
    model: str,
    machine: str,
    sample: str,
    points: Sequence[DataclassInstance],
    knee: DataclassInstance,
    *,
    largest_batch: int | None,
    saved: bool,
) -> Form:
    """Return the form of a sweep of batch sizes."""
    return {
        "model": model,
        "machine": machine,
        "sample": sample,
        "points": [asdict(point) for point in points],
        "knee": asdict(knee),
        "largest_batch": largest_batch,
        "saved": saved,
    }


def bench_stages_json(
    machine: str, rates: Sequence[tuple[DataclassInstance, float]], slowest: str
) -> Form:
    """Return the form of the stages' rates, each with its chunks per second."""
    stages = [{**asdict(rate), "chunks_per_second": speed} for rate, speed in rates]
    return {"machine": machine, "stages": stages, "slowest": slowest}


def bench_query_json(machine: str, latencies: DataclassInstance) -> Form:
    """Return the form of measured queries."""
    return {"machine": machine, **asdict(latencies)}


def calibration_json(source: str, calibrations: Sequence[Form]) -> Form:
    """Return the form of fitted calibrations.

    Args:
        source: name of the file with the questions.
        calibrations: the fields of each, with its `reliability`.
    """
    return {"source": source, "calibrations": calibrations}


def eval_json(dataset: str, queries: int, documents: int, **results: object) -> Form:
    """Return the form of an evaluation.

    Args:
        dataset: name of the collection or file.
        queries: number of questions.
        documents: number of documents in the index.
        results: `modes`, `hybrid_over_better_part`, `at`, `difference` and `worse`, as they are.
    """
    return {"dataset": dataset, "queries": queries, "documents": documents, **results}


def _engine(use: EngineUse | None) -> Form | None:
    if use is None:
        return None
    return {
        "name": use.engine,
        "device": use.device,
        "precision": use.precision,
        "batch_tokens": use.batch_tokens,
        "padding": round(use.padding, 4),
        "too_large": use.too_large,
        "remote": asdict(use.remote) if use.remote else None,
    }


def _version(version: Version) -> Form:
    entry = version.entry
    return {
        "run": version.run,
        "at": version.at or None,
        "files": entry.documents,
        "chunks": entry.chunks,
        "bytes": entry.data_bytes,
        "changed": {key: version.files.get(key, 0) for key in ("added", "changed", "removed")},
        "model": entry.model,
        "complete": entry.complete,
        "tags": list(version.tags),
    }


def _listed(model: ListedModel, speeds: Mapping[str, float]) -> Form:
    spec = model.spec
    return {
        "name": spec.name,
        "backend": spec.backend,
        "installed": model.folder is not None,
        "dim": spec.dim,
        "smaller_dims": list(spec.smaller_dims),
        "max_tokens": spec.max_tokens,
        "license": spec.license,
        "languages": list(spec.languages),
        "good_for": spec.good_for,
        "bytes": model.bytes or None,
        "folder": _path(model.folder),
        "server": spec.remote.base_url if spec.remote else None,
        "hint": model.hint,
        "chunks_per_second": speeds.get(spec.name),
        "pinned_files": len(spec.sha256),
    }


def _root(root: Root) -> Form:
    removed = sorted(map(show_path, root.removed))
    return {**asdict(root), **_paths(root.path), "removed": removed}


def _unknown_roots(unknown: Mapping[str, int]) -> list[Form]:
    return [{"root_id": root_id, "files": files} for root_id, files in unknown.items()]


def _notes(notes: Sequence[Note]) -> list[Form]:
    return [{**_paths(note.path), "reason": note.reason} for note in notes]


def _paths(path: bytes) -> Form:
    """Return the keys of a path: as text, and in hex if it is not valid UTF-8."""
    shown = show_path(path)
    return {"path": shown} if shown.encode() == path else {"path": shown, "path_bytes": path.hex()}


def _file_chunks(file: ListedFile) -> Form:
    return {"path": show_path(file.path), "chunks": file.chunks}


def _path(path: Path | None) -> str | None:
    return str(path) if path else None


def trust_json(known: TrustedWorkspace, added: Sequence[Permission]) -> Form:
    """Return the form of what a workspace may use outside of its own folder."""
    return {**_trusted(known), "added": [asdict(permission) for permission in added]}


def trust_list_json(found: Sequence[TrustedWorkspace]) -> Form:
    """Return the form of all workspaces that may use something outside of their own folders."""
    return {"workspaces": [_trusted(known) for known in found]}


def trust_forget_json(count: int) -> Form:
    """Return the form of how many permissions were forgotten."""
    return {"forgotten": count}


def _trusted(known: TrustedWorkspace) -> Form:
    return {
        "workspace": show_path(os.fsencode(known.folder)),
        "id": known.workspace_id,
        "owner": known.owner,
        "permissions": [asdict(permission) for permission in known.permissions],
    }
