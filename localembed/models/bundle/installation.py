"""Install a bundle, after checking and trying everything in it."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from localembed.core import private
from localembed.core.files import storage_error, sync_folder, sync_tree
from localembed.errors import ModelRefusedError, UsageError
from localembed.models.add import check_pins, install, is_same, prove, staged
from localembed.models.bundle.contents import Contents, model_member
from localembed.models.bundle.index_check import check_index
from localembed.models.bundle.reading import opened
from localembed.models.files import locate, store_folder
from localembed.models.inspect_files import check_whole
from localembed.models.registry import add_block, load_specs
from localembed.models.safety import objections
from localembed.store.disk import make_folder
from localembed.store.layout import Layout
from localembed.types.models import ModelSpec


@dataclass(frozen=True, slots=True)
class Installed:
    """Result of an installation."""

    models: tuple[str, ...]
    """Models that were installed."""
    present: tuple[str, ...]
    """Models that were already installed."""
    workspace: Path | None
    """Workspace folder of the installed index, None without one."""


def install_bundle(path: Path, layout: Layout) -> Installed:
    """Check a bundle to its last byte, then install its models and its index.

    Args:
        path: the bundle's path.
        layout: the workspace to install the index to; it must not exist yet.

    Raises:
        BundleError: see `verify_bundle`.
        UsageError: the workspace exists, or another model has one of the names.
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
        if contents.has_index:
            check_index(staging / "index", path)
        missing = [spec for spec in contents.models if not _is_here(spec)]
        for spec in missing:
            _try(spec, staging, path)
        for spec in missing:
            _install(spec, staging)
        if contents.has_index:
            _place(staging / "index", layout)
    new = tuple(spec.name for spec in missing)
    return Installed(
        models=new,
        present=tuple(spec.name for spec in contents.models if spec.name not in new),
        workspace=layout.folder if contents.has_index else None,
    )


def _check_room(contents: Contents, layout: Layout) -> None:
    """Refuse a bundle that would overwrite something.

    Raises:
        UsageError: it would.
    """
    if contents.has_index and layout.exists():
        message = (
            f"There is already a workspace at {layout.folder}. Name another folder: localembed "
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
                f"There is another model '{spec.name}' in models.toml: its prompts, size or "
                f"hashes differ. Run first: localembed models rm {spec.name}"
            )
            raise UsageError(message)


def _is_here(spec: ModelSpec) -> bool:
    """Return whether a model's files are on this machine."""
    ours = load_specs().get(spec.name)
    return ours is not None and locate(ours) is not None


def _try(spec: ModelSpec, staging: Path, bundle: Path) -> None:
    """Check a model's files, then load it.

    Raises:
        ModelRefusedError: it could make a library run code.
        ModelChangedError: its files are not those that its block names, or do not load.
    """
    folder = staging / model_member(spec.name, "")
    for reason in objections(folder):
        message = (
            f"{bundle} is refused: {reason.removeprefix(f'{staging}/')}. Only safetensors "
            "and plain JSON are read from a model, and no option allows code."
        )
        raise ModelRefusedError(message)
    check_whole(spec.name, folder)
    known = load_specs().get(spec.name, spec)  # its hashes are compared even if the block has none
    pinned = replace(spec, sha256={**spec.sha256, **known.sha256})
    check_pins(pinned, folder, "Make the bundle again, from the model that was published.")
    prove(spec, folder)


def _install(spec: ModelSpec, staging: Path) -> None:
    install(spec.name, staging / model_member(spec.name, ""))
    if spec.name not in load_specs():
        add_block(replace(spec, sources=(f"path:{store_folder(spec.name)}",)))


def _place(index: Path, layout: Layout) -> None:
    """Move an index to the workspace's folder, in one step if it is on the same disk."""
    parent = layout.folder.absolute().parent
    try:
        make_folder(parent)
        with tempfile.TemporaryDirectory(prefix=f".{layout.folder.name}.", dir=parent) as own:
            aside = Path(own) / "index"
            shutil.move(index, aside)
            sync_tree(aside)
            private.tighten(aside)
            if layout.folder.is_dir():
                layout.folder.rmdir()  # only where it is empty
            aside.replace(layout.folder)
        sync_folder(parent)
    except OSError as error:
        raise storage_error(layout.folder, error) from error
