"""Download a model from its hub, which goes online only with the user's permission.

`huggingface_hub` implements the protocol and resumes interrupted downloads. Its own faster
transport (xet) is off: measured by others, it reports success for incomplete files. Every file is
compared with the hub's metadata, and with its published hash if models.toml has one, before
anything is installed.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from localembed.core import hashing, private
from localembed.core.files import storage_error
from localembed.core.offline import guard
from localembed.errors import ModelChangedError, ModelNotFoundError, ModelRefusedError, UsageError
from localembed.models.add import install, prove
from localembed.models.files import hub_source, partial_folder, store_folder
from localembed.models.inspect_files import check_whole
from localembed.models.safety import check_only_data, is_wanted
from localembed.types.models import ModelSpec

if TYPE_CHECKING:
    from tqdm import tqdm  # noqa: TID251 - only the type

_HUB = "https://huggingface.co"
_DISK = (errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT)


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file as the hub describes it."""

    name: str
    size: int
    sha256: str | None
    """SHA-256 of a large file."""
    blob: str | None
    """SHA-1 of a small file's git blob."""


@dataclass(frozen=True, slots=True)
class Offer:
    """Files that a download would fetch."""

    repository: str
    commit: str
    files: tuple[HubFile, ...]

    def unpublished(self, spec: ModelSpec) -> int:
        """Return the number of files without a published hash, trusted when they are first seen."""
        return sum(file.name not in spec.sha256 for file in self.files)

    @property
    def bytes(self) -> int:
        """Total size of all files."""
        return sum(file.size for file in self.files)


def hub_address() -> str:
    """Return the hub's address: `HF_ENDPOINT`, or else Hugging Face's."""
    return os.environ.get("HF_ENDPOINT", _HUB).rstrip("/")


def look_up(spec: ModelSpec) -> Offer:
    """Look up a model's files on the hub.

    Raises:
        UsageError: the model has no hub source.
        ModelNotFoundError: the hub cannot be reached, or refuses access.
        ModelRefusedError: the model has no weights other than pickles.
    """
    source = hub_source(spec)
    if source is None:
        message = f"Model '{spec.name}' is not on a hub; its sources: {', '.join(spec.sources)}"
        raise UsageError(message)
    repository, revision = source
    with _online(spec):
        from huggingface_hub import HfApi

        api = HfApi(endpoint=hub_address(), token=_token())
        found = api.model_info(repository, revision=revision, files_metadata=True)
    files = tuple(_hub_file(entry) for entry in found.siblings or () if is_wanted(entry.rfilename))
    if not any(file.name.endswith(".safetensors") for file in files):
        message = (
            f"{repository} at {revision} has no safetensors weights, only formats that can run "
            "code when they are loaded. Convert it on an isolated machine, then run: localembed "
            "models add FOLDER"
        )
        raise ModelRefusedError(message)
    return Offer(repository, str(found.sha), files)


def pull(spec: ModelSpec, offer: Offer, bar: type[tqdm[Any]] | None = None) -> Path:
    """Download, check, try and install a model that was looked up; return its folder.

    Interrupted downloads resume, and nothing is installed before every check has passed.

    Args:
        spec: the model's spec.
        offer: the result of `look_up`.
        bar: progress bar for the bytes of a file.

    Raises:
        ModelNotFoundError: the hub can no longer be reached.
        ModelChangedError: a file differs from the hub's or the registry's hash.
        ModelRefusedError: the model needs code.
        StorageError: the disk is full or unwritable.
    """
    _check_offer(spec, offer)
    partial = partial_folder(spec.name, offer.commit)
    private.make_folder(partial)
    try:
        for file in offer.files:
            with _online(spec):
                from huggingface_hub import hf_hub_download

                hf_hub_download(
                    offer.repository, file.name, revision=offer.commit, local_dir=partial,
                    endpoint=hub_address(), token=_token(), tqdm_class=bar,
                )  # fmt: skip
            _compare(spec, file, partial / file.name)
    finally:
        private.tighten(partial)  # an interrupted download stays, to be resumed
    try:
        check_only_data(spec.name, partial)
    except ModelRefusedError:
        shutil.rmtree(partial)  # it matches what was published, so a retry would not help
        raise
    check_whole(spec.name, partial)
    prove(spec, partial)
    shutil.rmtree(partial / ".cache", ignore_errors=True)
    install(spec.name, partial)
    return store_folder(spec.name)


def _check_offer(spec: ModelSpec, offer: Offer) -> None:
    """Compare what the hub says of its files with the published hashes, before any download.

    Raises:
        ModelChangedError: a file differs or is missing.
    """
    offered = {file.name: file for file in offer.files}
    for name, published in spec.sha256.items():
        if name not in offered:
            raise _not_published(spec, name, "missing", published)
        if offered[name].sha256 not in (None, published):
            raise _not_published(spec, name, str(offered[name].sha256), published)


def _compare(spec: ModelSpec, file: HubFile, path: Path) -> None:
    """Compare a file with the published and the hub's hash; delete it if it differs."""
    sha256 = hashing.sha256_file(path)
    published = spec.sha256.get(file.name)
    if published not in (None, sha256):
        path.unlink()
        raise _not_published(spec, file.name, sha256, published)
    right = path.stat().st_size == file.size and file.sha256 in (None, sha256)
    if right and file.sha256 is None and file.blob is not None:
        right = _git_blob(path) == file.blob
    if right:
        return
    path.unlink()
    message = (
        f"The downloaded {file.name} of model '{spec.name}' is not the file that the hub lists: "
        f"its sha256 is {sha256}, expected {file.sha256 or file.blob}. Nothing was installed; try "
        "again."
    )
    raise ModelChangedError(message)


def _not_published(
    spec: ModelSpec, file: str, found: str, published: str | None
) -> ModelChangedError:
    repository = (hub_source(spec) or (hub_address(),))[0]
    return ModelChangedError(
        f"{file} of model '{spec.name}' at {hub_address()}/{repository} is not the file that was "
        f"published: its sha256 is {found}, models.toml says {published}. Nothing was installed. "
        "If you trust it, download the folder yourself and add it as another model: localembed "
        "models add FOLDER --name NAME"
    )


def _git_blob(path: Path) -> str:
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _hub_file(entry: Any) -> HubFile:  # noqa: ANN401 - from huggingface_hub
    large = entry.lfs
    return HubFile(
        name=entry.rfilename,
        size=int(large.size if large else entry.size or 0),
        sha256=large.sha256 if large else None,
        blob=None if large else entry.blob_id,
    )


def _token() -> str | bool:
    """Return the user's token from HF_TOKEN, the only place that is checked."""
    return os.environ.get("HF_TOKEN") or False


@contextmanager
def _online(spec: ModelSpec) -> Iterator[None]:
    """Lift the offline guard for the hub's library, and turn its errors into messages."""
    os.environ.update({"HF_HUB_DISABLE_XET": "1", "HF_HUB_VERBOSITY": "error"})
    with guard.lifted():
        from huggingface_hub.errors import GatedRepoError, HfHubHTTPError

    try:
        with guard.lifted():
            yield
    except GatedRepoError as error:
        message = (
            f"You must accept the licence of '{spec.name}' first. Accept it at "
            f"{hub_address()}/{(hub_source(spec) or ('',))[0]}, then set HF_TOKEN and try again."
        )
        raise ModelNotFoundError(message) from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        message = f"{hub_address()} returned {status} for model '{spec.name}'. Try again later."
        raise ModelNotFoundError(message) from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _DISK:
            raise storage_error(store_folder(spec.name), error) from error
        if not _is_network_error(error):
            raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        message = (
            f"Model '{spec.name}' cannot be downloaded from {hub_address()}: {reason}. Everything "
            "downloaded so far is kept; run the same command again to continue."
        )
        raise ModelNotFoundError(message) from error


def _is_network_error(error: Exception) -> bool:
    """Return whether an error is a connection error, from whichever library."""
    return isinstance(error, OSError) or type(error).__module__.partition(".")[0] in (
        "httpx", "httpx2", "httpcore", "httpcore2", "huggingface_hub", "ssl",
    )  # fmt: skip
