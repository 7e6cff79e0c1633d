"""What can go wrong with a request, sorted by what to do about it."""

from __future__ import annotations

from localembed.errors import RemoteModelError


class PassingFault(Exception):
    """It may go well the next time."""

    def __init__(
        self, reason: str, *, wait: float = 0.0, slow_down: bool = False, limited: bool = False
    ) -> None:
        """Say what happened.

        Args:
            reason: for people.
            wait: seconds that the server asked for.
            slow_down: whether the server has too much to do.
            limited: whether a limit of the minute was reached.
        """
        super().__init__(reason)
        self.wait = wait
        self.slow_down = slow_down
        self.limited = limited
        self.billed = 0
        """Tokens that an answer says it cost, although it is of no use."""


class TooMuchFault(Exception):
    """These inputs, together or one of them, are what the server does not take."""


class UnreachableFault(PassingFault):
    """There is no server at that address now."""


class WrongModelFault(PassingFault):
    """The answer is of another model; asked for fewer texts it would be no better."""


class HopelessError(RemoteModelError):
    """The server gives no usable answers; what was paid for is kept."""

    def __init__(self, host: str, reason: str) -> None:
        """Say which server, and why."""
        super().__init__(
            f"{host} gave no usable answer: {reason.rstrip('.')}. What came before is kept; the "
            "same command goes on from there."
        )
        self.reason = reason
