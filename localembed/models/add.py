"""Make a model known that lies in a folder, and forget one: `models add`, `rm` and `verify`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from localembed.core import hashing
from localembed.core.files import storage_error, sync_folder, sync_tree
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
    """What reading all files of a model showed."""

    name: str
    folder: Path | None
    """None if the model is not here."""
    files: int
    """How many were read."""
    problem: str = ""
    """Empty if all is well."""


def add_model(folder: Path, *, name: str | None = None, copy: bool = False) -> ModelSpec:
    """Write the model in a folder into the user's models.toml, with the hashes of its files.

    It is loaded and embeds a text first. What the registry knows of a model of that name (its
    prompts, its smaller dims, its pinned hashes) is kept and compared.

    Args:
        folder: of a sentence-transformers model.
        name: that it shall have; the folder's if not given.
        copy: take a copy, without anything that is not read; else the files stay where they are.

    Raises:
        UsageError: there is no such folder, or the name is taken.
        ModelRefusedError: the folder could make a library run code.
        ModelChangedError: the files are cut off, contradict each other or the registry.
    """
    folder = Path(os.path.abspath(folder.expanduser()))  # noqa: PTH100 - without "..", and links stay
    if not folder.is_dir():
        message = f"{folder} is no folder. Name the folder with the model's modules.json."
        raise UsageError(message)
    name = name or folder.name
    check_name(name)
    if name in read_registry(user_registry()):
        message = f"There is a model '{name}' already. Run: localembed models rm {name}"
        raise UsageError(message)
    if not copy:
        spec = _checked(name, folder)
        add_block(spec)
        return spec
    with staged(name) as staging:
        copy_files(folder, staging, files_to_copy(folder))
        spec = replace(_checked(name, staging), sources=(f"path:{store_folder(name)}",))
        settle(name, staging)
    add_block(spec)
    return spec


def remove_model(name: str, layout: Layout | None = None) -> tuple[Path | None, Path | None]:
    """Forget a model that was added, and remove the files that localembed keeps of it.

    Returns the folder that was removed and the folder that stays, each None if there is none.

    Raises:
        UsageError: it is a model of the registry and nothing of it is here.
        ModelNotFoundError: nobody knows the name.
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
        message = f"There is nothing to remove of model '{name}'.{where}"
        raise UsageError(message)
    return kept if was_here else None, stays if stays != kept else None


def verify_models(names: tuple[str, ...], layout: Layout | None = None) -> Iterator[Verified]:
    """Read every file of models and compare it with its hash.

    Args:
        names: of the models; none means all that are here.
        layout: the workspace, whose models.toml wins.

    Raises:
        ModelNotFoundError: nobody knows a name.
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
    """Tell whether two specs are of one model: all that decides what its vectors are."""
    facts = ("backend", "dim", "max_tokens", "pooling", "normalize")
    prompts = ("query_prompt", "document_prompt")
    same = all(getattr(one, name) == getattr(other, name) for name in (*facts, *prompts))
    shared = one.sha256.keys() & other.sha256.keys()
    return same and all(one.sha256[file] == other.sha256[file] for file in shared)


def check_pins(spec: ModelSpec, folder: Path) -> dict[str, str]:
    """Compare the files in a folder with the hashes of a spec; return the hashes of all.

    Raises:
        ModelChangedError: a file is another, or missing.
    """
    hashes = {file: hashing.sha256_file(folder / file) for file in readable_files(folder)}
    for file, pinned in spec.sha256.items():
        if hashes.get(file) != pinned:
            message = (
                f"{folder / file} is not the file that is pinned for '{spec.name}': its sha256 "
                f"is {hashes.get(file, 'missing')}, pinned is {pinned}. Give it another --name."
            )
            raise ModelChangedError(message)
    return hashes


def prove(spec: ModelSpec, folder: Path) -> None:
    """Load a model and embed a text.

    Raises:
        ModelChangedError: it does not load, or contradicts its spec.
    """
    if spec.backend in RERANKERS:
        load_reranker(spec, folder)(_PROBE, [_PROBE])
        return
    # In fp32 on the processor: what every machine has, and nothing is remembered of it.
    embedder = load_embedder(spec, folder, EngineOptions(device="cpu", engine="torch"))
    vector = embedder.embed_query(_PROBE)
    length = float((vector @ vector) ** 0.5)
    if not 0.0 < length < float("inf"):
        message = f"Model '{spec.name}' gives no usable vector: its weights are damaged."
        raise ModelChangedError(message)


@contextmanager
def staged(name: str) -> Iterator[Path]:
    """Give an empty folder beside the kept models, where a copy is made before it is shown.

    Raises:
        LockedError: another process is at it.
        StorageError: the disk is full or unwritable.
    """
    from filelock import FileLock, Timeout

    folder = store_folder(f".new-{name}")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with FileLock(folder.parent / ".lock", timeout=0, mode=0o600):
            try:
                shutil.rmtree(folder, ignore_errors=True)  # of an attempt that was killed
                folder.mkdir(mode=0o700)
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
    except Timeout as error:
        message = (
            "Another localembed is adding or installing a model. Run the same command again when "
            "it is done."
        )
        raise LockedError(message) from error
    except OSError as error:
        raise storage_error(folder, error) from error


def copy_files(source: Path, target: Path, names: list[str]) -> None:
    """Copy files of a model, the folders of its modules too."""
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, target / name)


def settle(name: str, staging: Path) -> None:
    """Show a model that was staged, in place of an older copy, with its hashes noted before."""
    hashes = {file: hashing.sha256_file(staging / file) for file in readable_files(staging)}
    target = store_folder(name)
    try:
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


def _checked(name: str, folder: Path) -> ModelSpec:
    """Look at everything that can be wrong with a folder; return the spec with its hashes."""
    try:
        return _inspected_and_tried(name, folder)
    except OSError as error:
        message = f"{error.filename or folder} cannot be read: {error.strerror or error}"
        raise ModelChangedError(message) from error


def _inspected_and_tried(name: str, folder: Path) -> ModelSpec:
    check_only_data(name, folder)
    check_whole(name, folder)
    found = inspected(name, folder)
    known = load_specs().get(name)
    spec = _merged(known, found) if known else found
    hashes = check_pins(known or found, folder)
    prove(spec, folder)
    return replace(spec, sha256=hashes)


def _merged(known: ModelSpec, found: ModelSpec) -> ModelSpec:
    """Return what the registry knows of a model, its files being elsewhere.

    Raises:
        ModelChangedError: the folder is another model.
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
