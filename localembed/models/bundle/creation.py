"""Write a bundle: the same bytes for the same models and index."""

from __future__ import annotations

import io
import os
import secrets
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from localembed.core.files import storage_error, sync_file, sync_folder
from localembed.core.hashing import sha256_file
from localembed.embedding import RERANKERS
from localembed.errors import NotIndexedError, UsageError
from localembed.models import open_model, open_reranker
from localembed.models.bundle.contents import (
    INDEX,
    MAX_JSON_BYTES,
    MAX_MEMBERS,
    NAME,
    Contents,
    Member,
    dumped,
    is_index_file,
    model_member,
)
from localembed.models.registry import find_spec
from localembed.models.safety import files_to_copy
from localembed.store import heartbeat
from localembed.store.head import Head, read_head
from localembed.store.layout import Layout
from localembed.store.lock import writer_lock
from localembed.types.models import ModelSpec

_BINARY = getattr(os, "O_BINARY", 0)
_EXISTS = "{} already exists. Delete it, or name another file with -o."


def create_bundle(
    names: tuple[str, ...],
    output: Path,
    layout: Layout,
    *,
    with_index: bool = False,
    config: bytes | None = None,
) -> Contents:
    """Write models, and optionally a workspace's index, to one file.

    Args:
        names: names of the models; with an index, the default is the index's models.
        output: the file to write; it must not exist.
        layout: the workspace.
        with_index: include the index, with the text of every document, unencrypted.
        config: content of the index's config.toml, if not the workspace's.

    Raises:
        UsageError: no model is named, or the file exists.
        ModelNotFoundError: a model is not installed.
        ModelChangedError: a file of a model differs from its hash.
        NotIndexedError: there is no index, or it is not complete.
        StorageError: the disk is full or unwritable.
    """
    if output.exists():
        raise UsageError(_EXISTS.format(output))
    if not output.absolute().parent.is_dir():
        raise UsageError(f"There is no folder {output.absolute().parent}. Create it first.")
    with ExitStack() as stack:
        chunks = 0
        if with_index:
            head = _whole_index(layout)
            stack.enter_context(writer_lock(layout))
            chunks = sum(entry.chunks for entry in head.tables.values())
            names = names or tuple(sorted({entry.model for entry in head.tables.values()}))
        if not names:
            raise UsageError("Name a model: localembed models bundle create all-MiniLM-L6-v2 -o F")
        models = [_model(name, layout) for name in dict.fromkeys(names)]
        sources = dict(_model_files(models))
        if with_index:
            sources |= _index_files(layout)
        if with_index and config is not None:
            part = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="localembed-")))
            (part / "config.toml").write_bytes(config)
            sources[f"{INDEX}config.toml"] = part / "config.toml"
        members = tuple(_member(name, path) for name, path in sorted(sources.items()))
        specs = tuple(sorted((spec for spec, _ in models), key=lambda spec: spec.name))
        contents = Contents(specs, members, chunks)
        if len(members) > MAX_MEMBERS or len(dumped(contents)) > MAX_JSON_BYTES:
            raise UsageError("The index has too many files. Run first: localembed versions gc")
        _write(output, contents, sources)
    return contents


def _whole_index(layout: Layout) -> Head:
    """Return the head of a workspace whose last run finished.

    Raises:
        NotIndexedError: there is no complete index.
    """
    head = read_head(layout) if layout.exists() else Head()
    last = heartbeat.last(layout)
    interrupted = last is not None and not last.ended
    if not head.tables or interrupted or not all(e.complete for e in head.tables.values()):
        raise NotIndexedError(
            f"{layout.folder} has no complete index to include. Run: localembed index"
        )
    return head


def _model(name: str, layout: Layout) -> tuple[ModelSpec, Path]:
    is_reranker = find_spec(name, layout).backend in RERANKERS
    model = open_reranker(name, layout) if is_reranker else open_model(name, layout, rehash=True)
    if model.spec.remote is not None:
        message = f"Model '{name}' is remote: it has no files to put into a bundle."
        raise UsageError(message)
    return model.spec, model.folder


def _model_files(models: list[tuple[ModelSpec, Path]]) -> Iterator[tuple[str, Path]]:
    for spec, folder in models:
        for file in files_to_copy(folder):
            yield model_member(spec.name, file), folder / file


def _index_files(layout: Layout) -> dict[str, Path]:
    found = (path for path in layout.folder.rglob("*") if path.is_file() and not path.is_symlink())
    named = ((path.relative_to(layout.folder).as_posix(), path) for path in found)
    return {INDEX + name: path for name, path in named if is_index_file(name)}


def _member(name: str, path: Path) -> Member:
    return Member(name, path.stat().st_size, sha256_file(path))


def _write(output: Path, contents: Contents, sources: dict[str, Path]) -> None:
    """Write to a temporary file first, so that a bundle that exists is complete."""
    folder = output.absolute().parent
    try:
        # A unique name that must not exist: no other user can have put a link there. The user names
        # this file, so its mode follows the user's umask.
        name = os.fspath(folder / f".{output.name}.{secrets.token_hex(8)}.part")
        number = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o666)
    except OSError as error:
        raise storage_error(output, error) from error
    part = Path(name)
    try:
        with (
            os.fdopen(number, "wb") as file,
            tarfile.open(fileobj=file, mode="w|", format=tarfile.GNU_FORMAT) as archive,
        ):
            described = dumped(contents)
            archive.addfile(_header(NAME, len(described)), io.BytesIO(described))
            for member in contents.members:
                with sources[member.name].open("rb") as source:
                    archive.addfile(_header(member.name, member.size), source)
        sync_file(name)
        _publish(part, output)
        sync_folder(folder)
    except OSError as error:
        raise storage_error(output, error) from error
    finally:
        part.unlink(missing_ok=True)


def _publish(part: Path, output: Path) -> None:
    """Give a complete bundle its final name, unless another process created it meanwhile.

    Raises:
        UsageError: the name is taken.
    """
    try:
        os.link(part, output)
    except FileExistsError as error:
        raise UsageError(_EXISTS.format(output)) from error
    except OSError:  # a file system without hard links
        part.replace(output)


def _header(name: str, size: int) -> tarfile.TarInfo:
    """Return a member's header, which depends on neither this machine nor the time."""
    header = tarfile.TarInfo(name)
    header.size, header.mode = size, 0o600
    return header
