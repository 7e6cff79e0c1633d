"""Every error that localembed raises on purpose.

LocalembedError                 carries the exit code; the message says what to do next
├── UsageError                  2   arguments or settings that cannot work
├── ModelError                  4
│   ├── ModelNotFoundError          the name is unknown, or its files are not on this machine
│   ├── ModelChangedError           a file differs from its pinned hash, or contradicts the spec
│   ├── ModelRefusedError           the folder could make a library run code
│   ├── RemoteModelError            a server that has the model gives no usable answer
│   ├── BundleError                 a file that is no bundle, or a damaged one
│   └── RegistryError               a models.toml that cannot be read or is wrong
├── WorkspaceError              5
│   ├── NotIndexedError             nothing to search yet
│   ├── LockedError                 another process is writing
│   ├── TooNewError                 written by a newer localembed
│   └── StorageError                disk full, unwritable, or a store that is damaged
├── CostLimitError              3   the run would cost more than was allowed
└── OfflineError                6   would need the network

A root that looks gone is no error but a line of the report, which carries exit code 5: the other
roots go on. ReadError belongs to one input, which is reported and survived.
"""

from __future__ import annotations

from typing import ClassVar


class LocalembedError(Exception):
    """Base of all errors that end a command with a plain sentence."""

    exit_code: ClassVar[int] = 70


class UsageError(LocalembedError):
    """Arguments or settings that cannot work."""

    exit_code = 2


class ModelError(LocalembedError):
    """A model is missing, changed or mismatched."""

    exit_code = 4


class ModelNotFoundError(ModelError):
    """The model's name is unknown, or its files are not on this machine."""


class ModelChangedError(ModelError):
    """A model file differs from its pinned hash, or contradicts the spec."""


class ModelRefusedError(ModelError):
    """A model's folder holds code or a pickle, or names code to import."""


class RemoteModelError(ModelError):
    """A server that has the model refuses, or gives no usable answer."""


class BundleError(ModelError):
    """A file is no bundle, is damaged, or was written by a newer localembed."""


class RegistryError(ModelError):
    """A models.toml cannot be read, or says something impossible."""


class WorkspaceError(LocalembedError):
    """The workspace is damaged, full, locked or not found."""

    exit_code = 5


class NotIndexedError(WorkspaceError):
    """There is nothing to search yet."""


class LockedError(WorkspaceError):
    """Another process holds the writer lock."""


class TooNewError(WorkspaceError):
    """The workspace was written by a newer version of localembed."""


class StorageError(WorkspaceError):
    """The disk is full or unwritable, or a store cannot be read."""


class CostLimitError(LocalembedError):
    """A run would cost more than was allowed; what it had is kept."""

    exit_code = 3


class OfflineError(LocalembedError):
    """The command would need the network and was not told that it may use it."""

    exit_code = 6


class ReadError(Exception):
    """One input could not be read or decoded; the run goes on without it."""
