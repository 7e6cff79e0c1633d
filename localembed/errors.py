"""Every error that localembed raises on purpose.

LocalembedError                 carries the exit code; the message says what to do next
├── UsageError                  2   arguments or settings that cannot work
├── ModelError                  4
│   ├── ModelNotFoundError          the name is unknown, or its files are not on this machine
│   ├── ModelChangedError           a file differs from its pinned hash, or contradicts the spec
│   ├── TextRefusedError            the tokenizer fails on one text; the run continues without it
│   ├── ModelRefusedError           the folder could make a library run code
│   ├── RemoteModelError            a remote model returns no usable answer
│   │   └── ProviderUnusableError       the provider failed too often; finished answers are kept
│   ├── BundleError                 a file that is not a bundle, or a damaged one
│   └── RegistryError               a models.toml that cannot be read or is invalid
├── WorkspaceError              5
│   ├── NotIndexedError             nothing to search yet
│   ├── NotTrustedError             another user may have made it, or it reaches outside
│   ├── LockedError                 another process is writing
│   ├── TooNewError                 written by a newer localembed
│   └── StorageError                disk full, unwritable, or a store that is damaged
├── CostLimitError              3   the run would cost more than was allowed
└── OfflineError                6   would need the network, without permission to use it

ReadError                       one input cannot be read; it is reported and the run continues
RemoteRequestError              one request to a remote model failed; it is retried or split
├── TransientError                  a retry may succeed
│   ├── UnreachableError                nothing answers at that address
│   └── WrongModelError                 another model answered
└── RequestTooLargeError            the provider rejects these inputs; fewer of them may pass

A missing or suddenly empty root is not an error but a line of the report, which carries exit code
5: the other roots go on.
"""

from __future__ import annotations

from typing import ClassVar


class LocalembedError(Exception):
    """Base class of all errors that end a command with a plain message."""

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


class TextRefusedError(ModelError):
    """The tokenizer fails on one text; in a run, only its file fails."""


class ModelRefusedError(ModelError):
    """A model's folder holds code or a pickle, or names code to import."""


class RemoteModelError(ModelError):
    """A remote model refuses, or returns no usable answer."""


class ProviderUnusableError(RemoteModelError):
    """The provider failed too often; finished answers are kept."""

    def __init__(self, message: str, reason: str = "") -> None:
        """Store the reason for the last failure beside the user's message."""
        super().__init__(message)
        self.reason = reason


class BundleError(ModelError):
    """A file is not a bundle, is damaged, or was written by a newer localembed."""


class RegistryError(ModelError):
    """A models.toml cannot be read or is invalid."""


class WorkspaceError(LocalembedError):
    """The workspace is damaged, full, locked or not found."""

    exit_code = 5


class NotIndexedError(WorkspaceError):
    """There is nothing to search yet."""


class NotTrustedError(WorkspaceError):
    """The workspace may be another user's, or it reaches what this user has not allowed."""


class LockedError(WorkspaceError):
    """Another process holds the writer lock."""


class TooNewError(WorkspaceError):
    """The workspace was written by a newer version of localembed."""


class StorageError(WorkspaceError):
    """The disk is full or unwritable, or a store cannot be read."""


class CostLimitError(LocalembedError):
    """A run would cost more than was allowed; everything done so far is kept."""

    exit_code = 3


class OfflineError(LocalembedError):
    """The command would need the network and has no permission to use it."""

    exit_code = 6


class ReadError(Exception):
    """One input could not be read or decoded; the run continues without it."""


class RemoteRequestError(Exception):
    """One request to a remote model failed."""


class TransientError(RemoteRequestError):
    """A retry may succeed."""

    def __init__(
        self, reason: str, *, wait: float = 0.0, slow_down: bool = False, limited: bool = False
    ) -> None:
        """Describe the failure.

        Args:
            reason: what happened, as readable text.
            wait: seconds to wait as requested by the provider, 0 if unspecified.
            slow_down: whether the provider is overloaded.
            limited: whether a rate limit was reached.
        """
        super().__init__(reason)
        self.wait = wait
        self.slow_down = slow_down
        self.limited = limited
        self.billed = 0
        """Tokens billed for an unusable answer."""


class RequestTooLargeError(RemoteRequestError):
    """The provider rejects these inputs, together or one of them."""


class UnreachableError(TransientError):
    """Nothing answers at that address."""


class WrongModelError(TransientError):
    """Another model answered; a smaller request would not help."""
