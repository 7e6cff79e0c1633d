"""Install a bundle: everything is checked and tried before anything is shown."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from localembed.core.files import storage_error, sync_folder, sync_tree
from localembed.errors import ModelRefusedError, UsageError
from localembed.models.add import check_pins, is_same, prove, settle, staged
from localembed.models.bundle.contents import Contents, model_member
from localembed.models.bundle.reading import opened
from localembed.models.files import locate, store_folder
from localembed.models.inspect_files import check_whole
from localembed.models.registry import add_block, load_specs
from localembed.models.safety import files_to_copy, objections
from localembed.store.disk import make_folder
from localembed.store.layout import Layout
from localembed.types.models import ModelSpec


@dataclass(frozen=True, slots=True)
class Installed:
    """What an installation did."""

    models: tuple[str, ...]
    """That came with it."""
    present: tuple[str, ...]
    """That were here already."""
    workspace: Path | None
    """Where the index lies now."""


def install_bundle(path: Path, layout: Layout) -> Installed:
    """Check a bundle to its last byte, then install its models and its index.

    Args:
        path: of the bundle.
        layout: where the index is to lie; nothing may lie there yet.

    Raises:
        BundleError: see `verify_bundle`.
        UsageError: a workspace lies there already, or a model of that name is another one.
        ModelRefusedError: a model could make a library run code.
        ModelChangedError: a model contradicts itself.
        StorageError: the disk is full or unwritable.
    """
    with opened(path) as (contents, files):
        _check_room(contents, layout)
        for _ in files:
            pass
    with staged("bundle") as staging:
        with opened(path, staging) as (contents, files):
            for _ in files:
                pass
        missing = [spec for spec in contents.models if not _is_here(spec)]
        for spec in missing:
            _try(spec, staging, path)
        for spec in missing:
            _show(spec, staging)
        if contents.has_index:
            _place(staging / "index", layout)
    new = tuple(spec.name for spec in missing)
    return Installed(
        models=new,
        present=tuple(spec.name for spec in contents.models if spec.name not in new),
        workspace=layout.folder if contents.has_index else None,
    )


def _check_room(contents: Contents, layout: Layout) -> None:
    """Refuse what would overwrite something.

    Raises:
        UsageError: it would.
    """
    if contents.has_index and layout.exists():
        message = (
            f"There is a workspace at {layout.folder} already. Name another place: localembed "
            "models bundle install FILE --workspace DIR"
        )
        raise UsageError(message)
    if contents.has_index and layout.folder.is_dir() and any(layout.folder.iterdir()):
        message = f"{layout.folder} is not empty. Name an empty or new folder with --workspace."
        raise UsageError(message)
    known = load_specs()
    for spec in contents.models:
        ours = known.get(spec.name)
        if ours is not None and not is_same(ours, spec):
            message = (
                f"There is another model '{spec.name}' in models.toml: its prompts, its size or "
                f"its hashes differ. Run first: localembed models rm {spec.name}"
            )
            raise UsageError(message)


def _is_here(spec: ModelSpec) -> bool:
    """Tell whether a model's files are on this machine."""
    ours = load_specs().get(spec.name)
    return ours is not None and locate(ours) is not None


def _try(spec: ModelSpec, staging: Path, bundle: Path) -> None:
    """Look at a model before anything of it is loaded.

    Raises:
        ModelRefusedError: it holds what is not read from a model.
        ModelChangedError: its files are not those that its block names, or do not load.
    """
    folder = staging / model_member(spec.name, "")
    there = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    unread = sorted(there - set(files_to_copy(folder)))
    for reason in (*objections(folder), *(f"{file} is not read from a model" for file in unread)):
        message = (
            f"{bundle} is refused: {reason.removeprefix(f'{staging}/')}. Only safetensors "
            "and plain JSON are read from a model, and there is no switch to trust code."
        )
        raise ModelRefusedError(message)
    check_whole(spec.name, folder)
    check_pins(spec, folder)
    prove(spec, folder)


def _show(spec: ModelSpec, staging: Path) -> None:
    settle(spec.name, staging / model_member(spec.name, ""))
    if spec.name not in load_specs():
        add_block(replace(spec, sources=(f"path:{store_folder(spec.name)}",)))


def _place(index: Path, layout: Layout) -> None:
    """Move an index to where the workspace is to lie, in one step where the disk is the same."""
    parent = layout.folder.absolute().parent
    try:
        make_folder(parent)
        with tempfile.TemporaryDirectory(prefix=f".{layout.folder.name}.", dir=parent) as own:
            aside = Path(own) / "index"
            shutil.move(index, aside)
            sync_tree(aside)
            aside.chmod(0o700)
            if layout.folder.is_dir():
                layout.folder.rmdir()  # only where it is empty
            aside.replace(layout.folder)
        sync_folder(parent)
    except OSError as error:
        raise storage_error(layout.folder, error) from error
