"""Fetch a model from its hub: the one thing that goes online, and only when it was told to.

`huggingface_hub` speaks the protocol and goes on where a download stopped. Its own faster
transport (xet) is off: measured by others, it reports success for files that are not whole.
Every file is compared with what the hub says of it before anything is shown.
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

from localembed.core import hashing
from localembed.core.files import storage_error
from localembed.core.offline import guard
from localembed.errors import ModelChangedError, ModelNotFoundError, ModelRefusedError, UsageError
from localembed.models.add import prove, settle
from localembed.models.files import hub_source, partial_folder, store_folder
from localembed.models.inspect_files import check_whole
from localembed.models.safety import check_only_data, is_wanted
from localembed.types.models import ModelSpec

if TYPE_CHECKING:
    from tqdm import tqdm

_HUB = "https://huggingface.co"
_DISK = (errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT)


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file as the hub describes it."""

    name: str
    size: int
    sha256: str | None
    """Of a large file."""
    blob: str | None
    """SHA-1 of a small file as git counts it."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What would be fetched."""

    repository: str
    commit: str
    files: tuple[HubFile, ...]

    @property
    def bytes(self) -> int:
        """Of all files."""
        return sum(file.size for file in self.files)


def hub_address() -> str:
    """Return the hub that is asked: `HF_ENDPOINT`, or Hugging Face's."""
    return os.environ.get("HF_ENDPOINT", _HUB).rstrip("/")


def look_up(spec: ModelSpec) -> Offer:
    """Ask the hub which files a model has.

    Raises:
        UsageError: the model has no hub source.
        ModelNotFoundError: the hub cannot be reached, or does not give it.
        ModelRefusedError: it has no weights but pickles.
    """
    source = hub_source(spec)
    if source is None:
        message = f"Model '{spec.name}' is in no hub; its sources are: {', '.join(spec.sources)}"
        raise UsageError(message)
    repository, revision = source
    with _told(spec):
        from huggingface_hub import HfApi

        api = HfApi(endpoint=hub_address(), token=_token())
        found = api.model_info(repository, revision=revision, files_metadata=True)
    files = tuple(_hub_file(entry) for entry in found.siblings or () if is_wanted(entry.rfilename))
    if not any(file.name.endswith(".safetensors") for file in files):
        message = (
            f"{repository} at {revision} has no weights as safetensors, only kinds that can run "
            "code when they are loaded. Convert it on a machine that you can do without, then "
            "run: localembed models add FOLDER"
        )
        raise ModelRefusedError(message)
    return Offer(repository, str(found.sha), files)


def pull(spec: ModelSpec, offer: Offer, bar: type[tqdm[Any]] | None = None) -> Path:
    """Fetch what was looked up, compare it, try it, and show it; return its folder.

    Stopped at any point, the next call goes on from there, and nothing is shown before all is
    right.

    Args:
        spec: of the model.
        offer: as `look_up` returned it.
        bar: shows the bytes of a file.

    Raises:
        ModelNotFoundError: the hub cannot be reached any more.
        ModelChangedError: a file is not what the hub or the registry says.
        ModelRefusedError: the model asks for code.
        StorageError: the disk is full or unwritable.
    """
    partial = partial_folder(spec.name, offer.commit)
    for file in offer.files:
        with _told(spec):
            from huggingface_hub import hf_hub_download

            hf_hub_download(
                offer.repository, file.name, revision=offer.commit, local_dir=partial,
                endpoint=hub_address(), token=_token(), tqdm_class=bar,
            )  # fmt: skip
        _compare(spec, file, partial / file.name)
    try:
        check_only_data(spec.name, partial)
    except ModelRefusedError:
        shutil.rmtree(partial)  # it is what was published, and of no use
        raise
    check_whole(spec.name, partial)
    prove(spec, partial)
    shutil.rmtree(partial / ".cache", ignore_errors=True)
    settle(spec.name, partial)
    return store_folder(spec.name)


def _compare(spec: ModelSpec, file: HubFile, path: Path) -> None:
    """Compare a file with what the hub and the registry say of it; a wrong one is removed."""
    sha256 = hashing.sha256_file(path)
    pinned = spec.sha256.get(file.name)
    right = path.stat().st_size == file.size and file.sha256 in (None, sha256)
    if right and file.sha256 is None and file.blob is not None:
        right = _git_blob(path) == file.blob
    if right and pinned in (None, sha256):
        return
    path.unlink()
    wanted = pinned or file.sha256 or file.blob
    message = (
        f"What came as {file.name} of model '{spec.name}' is not the file that was published: its "
        f"sha256 is {sha256}, expected {wanted}. Nothing was installed; try again."
    )
    raise ModelChangedError(message)


def _git_blob(path: Path) -> str:
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _hub_file(entry: Any) -> HubFile:  # noqa: ANN401 - of huggingface_hub
    large = entry.lfs
    return HubFile(
        name=entry.rfilename,
        size=int(large.size if large else entry.size or 0),
        sha256=large.sha256 if large else None,
        blob=None if large else entry.blob_id,
    )


def _token() -> str | bool:
    """Return the user's token where one is set; no other is looked for."""
    return os.environ.get("HF_TOKEN") or False


@contextmanager
def _told(spec: ModelSpec) -> Iterator[None]:
    """Lift the guard for the hub's library, and say in a sentence what went wrong there."""
    os.environ.update({"HF_HUB_DISABLE_XET": "1", "HF_HUB_VERBOSITY": "error"})
    with guard.lifted():
        from huggingface_hub.errors import GatedRepoError, HfHubHTTPError

    try:
        with guard.lifted():
            yield
    except GatedRepoError as error:
        message = (
            f"The hub gives '{spec.name}' only to those who accepted its licence. Accept it at "
            f"{hub_address()}/{(hub_source(spec) or ('',))[0]}, then set HF_TOKEN and try again."
        )
        raise ModelNotFoundError(message) from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        message = f"{hub_address()} answered {status} for model '{spec.name}'. Try again later."
        raise ModelNotFoundError(message) from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _DISK:
            raise storage_error(store_folder(spec.name), error) from error
        if not _is_of_the_way(error):
            raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        message = (
            f"Model '{spec.name}' cannot be fetched from {hub_address()}: {reason}. What came so "
            "far is kept: the same command goes on from there."
        )
        raise ModelNotFoundError(message) from error


def _is_of_the_way(error: Exception) -> bool:
    """Tell whether an error is one of the connection, by whatever library."""
    return isinstance(error, OSError) or type(error).__module__.partition(".")[0] in (
        "httpx", "httpx2", "httpcore", "httpcore2", "huggingface_hub", "ssl",
    )  # fmt: skip
