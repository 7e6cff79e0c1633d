"""Add, remove and verify models: `models add`, `rm` and `verify`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from localembed.core import hashing, private
from localembed.core.files import storage_error, sync_folder, sync_tree
from localembed.core.text import shell_word
from localembed.embedding import RERANKERS, EngineOptions, load_embedder, load_reranker
from localembed.errors import LocalembedError, LockedError, ModelChangedError, UsageError
from localembed.models.blocks import check_name
from localembed.models.files import keep_pins, locate, partial_folder, store_folder
from localembed.models.inspect_files import check_whole, inspected
from localembed.models.open_model import located
from localembed.models.registry import (
    add_block,
    drop_block,
    find_spec,
    load_specs,
    read_registry,
    user_registry,
)
from localembed.models.safety import check_only_data, files_to_copy, readable_files
from localembed.store.layout import Layout
from localembed.types.models import ModelSpec

_PROBE = "rotating api keys"
_COMPARED = ("dim", "pooling", "normalize")


@dataclass(frozen=True, slots=True)
class Verified:
    """Result of checking all files of a model."""

    name: str
    folder: Path | None
    """Folder of the model, None if it is not installed."""
    files: int
    """Number of files read."""
    problem: str = ""
    """Problem found, empty if none."""


def add_model(folder: Path, *, name: str | None = None, copy: bool = False) -> ModelSpec:
    """Add the model in a folder to the user's models.toml, with the hashes of its files.

    The model is first loaded and embeds a text. If the registry has a model of that name, its
    prompts, smaller dims and pinned hashes are kept and compared.

    Args:
        folder: the folder of a sentence-transformers model.
        name: the model's name; the folder's name by default.
        copy: copy the files that are read; by default all files stay where they are.

    Raises:
        UsageError: there is no such folder, or the name is taken.
        ModelRefusedError: the folder could make a library run code.
        ModelChangedError: the files are truncated, or contradict each other or the registry.
    """
    folder = Path(os.path.abspath(folder.expanduser()))  # noqa: PTH100 - removes "..", but keeps links
    if not folder.is_dir():
        message = f"{folder} is not a folder. Name the folder with the model's modules.json."
        raise UsageError(message)
    name = name or folder.name
    check_name(name)
    if name in read_registry(user_registry()):
        message = f"There is already a model '{name}'. Run: localembed models rm {name}"
        raise UsageError(message)
    if not copy:
        spec = _checked(name, folder, folder)
        add_block(spec)
        return spec
    with staged(name) as staging:
        copy_files(folder, staging, files_to_copy(folder))
        spec = replace(_checked(name, staging, folder), sources=(f"path:{store_folder(name)}",))
        install(name, staging)
    add_block(spec)
    return spec


def remove_model(name: str, layout: Layout | None = None) -> tuple[Path | None, Path | None]:
    """Remove a model that was added, and delete the files that localembed keeps for it.

    Return the folder that was deleted and the folder that stays, each None if there is none.

    Raises:
        UsageError: the model is in the package's registry, and has no files to delete.
        ModelNotFoundError: the name is unknown.
    """
    spec = find_spec(name, layout)
    kept = store_folder(name)
    was_here = kept.is_dir()
    stays = locate(spec)
    dropped = drop_block(name)
    partial = list(kept.parent.glob(partial_folder(name, "*").name))
    for folder in (*partial, *([kept] if was_here else [])):
        _remove(folder)
    if was_here:
        keep_pins(name, None)
    if not (dropped or was_here or partial):
        where = f" Its files are in {stays}, which localembed does not own." if stays else ""
        message = f"There is nothing to remove for model '{name}'.{where}"
        raise UsageError(message)
    return kept if was_here else None, stays if stays != kept else None


def verify_models(names: tuple[str, ...], layout: Layout | None = None) -> Iterator[Verified]:
    """Check every file of models against its hash.

    Args:
        names: names of the models; if empty, all installed ones.
        layout: the workspace, whose models.toml takes precedence.

    Raises:
        ModelNotFoundError: a name is unknown.
    """
    specs = load_specs(layout)
    requested = [find_spec(name, layout) for name in names] or [
        s for s in specs.values() if locate(s)
    ]
    for spec in requested:
        folder = locate(spec)
        count = len(readable_files(folder)) if folder else 0
        try:
            located(spec, rehash=True)
            if folder:
                check_whole(spec.name, folder)
        except LocalembedError as error:
            yield Verified(spec.name, folder, count, str(error))
        else:
            yield Verified(spec.name, folder, count)


def is_same(one: ModelSpec, other: ModelSpec) -> bool:
    """Return whether two specs describe the same model: all that determines its vectors."""
    facts = ("backend", "dim", "max_tokens", "pooling", "normalize")
    prompts = ("query_prompt", "document_prompt")
    same = all(getattr(one, name) == getattr(other, name) for name in (*facts, *prompts))
    shared = one.sha256.keys() & other.sha256.keys()
    return same and all(one.sha256[file] == other.sha256[file] for file in shared)


def check_pins(spec: ModelSpec, folder: Path, advice: str) -> dict[str, str]:
    """Compare the files in a folder with a spec's hashes; return the hashes of all files.

    Args:
        spec: the model; files that it has no hash for are trusted as they are.
        folder: the folder of its files.
        advice: what to do if one differs, for the message.

    Raises:
        ModelChangedError: a file differs or is missing.
    """
    hashes = {file: hashing.sha256_file(folder / file) for file in readable_files(folder)}
    for file, pinned in spec.sha256.items():
        if hashes.get(file) != pinned:
            message = (
                f"{folder / file} is not the file pinned for '{spec.name}': its sha256 is "
                f"{hashes.get(file, 'missing')}, expected {pinned}. {advice}"
            )
            raise ModelChangedError(message)
    return hashes


def prove(spec: ModelSpec, folder: Path) -> None:
    """Check that a model loads and embeds a text.

    Raises:
        ModelChangedError: it does not load, or contradicts its spec.
    """
    if spec.backend in RERANKERS:
        load_reranker(spec, folder)(_PROBE, [_PROBE])
        return
    # fp32 on the CPU works on every machine, and its result is not remembered.
    embedder = load_embedder(spec, folder, EngineOptions(device="cpu", engine="torch"))
    vector = embedder.embed_query(_PROBE)
    length = float((vector @ vector) ** 0.5)
    if not 0.0 < length < float("inf"):
        message = f"Model '{spec.name}' returns no usable vector: its weights are damaged."
        raise ModelChangedError(message)


@contextmanager
def staged(name: str) -> Iterator[Path]:
    """Yield an empty folder beside the installed models, to build a copy in before installing it.

    Raises:
        LockedError: another process is adding or installing a model.
        StorageError: the disk is full or unwritable.
    """
    from filelock import FileLock, Timeout

    folder = store_folder(f".new-{name}")
    try:
        private.make_folder(folder.parent)
        with FileLock(folder.parent / ".lock", timeout=0, mode=0o600):
            try:
                shutil.rmtree(folder, ignore_errors=True)  # left by an attempt that was killed
                folder.mkdir(mode=0o700)
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
    except Timeout as error:
        message = (
            "Another localembed is adding or installing a model. Wait until it is done, then run "
            "the same command again."
        )
        raise LockedError(message) from error
    except OSError as error:
        raise storage_error(folder, error) from error


def copy_files(source: Path, target: Path, names: list[str]) -> None:
    """Copy a model's files, including the folders of its modules."""
    for name in names:
        private.make_folder((target / name).parent)
        shutil.copyfile(source / name, target / name)


def install(name: str, staging: Path) -> None:
    """Install a staged model, replacing any older copy, after recording its hashes."""
    hashes = {file: hashing.sha256_file(staging / file) for file in readable_files(staging)}
    target = store_folder(name)
    try:
        private.tighten(staging)
        sync_tree(staging)
        keep_pins(name, hashes)
        if target.exists():
            shutil.rmtree(target)
        staging.replace(target)
        sync_folder(target.parent)
    except OSError as error:
        raise storage_error(target, error) from error


def _remove(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise storage_error(folder, error) from error


def _checked(name: str, folder: Path, source: Path) -> ModelSpec:
    """Check everything that can be wrong with a folder; return the spec with its hashes.

    Args:
        name: name of the model.
        folder: the folder, or a copy of it.
        source: the folder that the user named.
    """
    try:
        return _inspected_and_loaded(name, folder, source)
    except OSError as error:
        message = f"{error.filename or folder} cannot be read: {error.strerror or error}"
        raise ModelChangedError(message) from error
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        message = f"The model in {folder} cannot be read: {error!r}. Download it again."
        raise ModelChangedError(message) from error


def _inspected_and_loaded(name: str, folder: Path, source: Path) -> ModelSpec:
    check_only_data(name, folder)
    check_whole(name, folder)
    found = inspected(name, folder)
    known = load_specs().get(name)
    spec = _merged(known, found) if known else found
    word = shell_word(os.fsencode(source))
    advice = f"To add it as another model: localembed models add {word} --name NAME"
    hashes = check_pins(known or found, folder, advice)
    prove(spec, folder)
    return replace(spec, sha256=hashes)


def _merged(known: ModelSpec, found: ModelSpec) -> ModelSpec:
    """Return the registry's spec of a model, with the files' new place and size.

    Raises:
        ModelChangedError: the folder contains another model.
    """
    for field in _COMPARED:
        ours, theirs = getattr(known, field), getattr(found, field)
        if ours != theirs and not (field == "normalize" and ours):
            message = (
                f"The model in {found.sources[0].removeprefix('path:')} is not '{known.name}': its "
                f"{field} is {theirs!r}, models.toml says {ours!r}. Give it another --name."
            )
            raise ModelChangedError(message)
    return replace(known, sources=found.sources, size_mb=found.size_mb)
