"""No two windows ask for the same vector: what is stored, being embedded or being written."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from localembed.types.arrays import Vector

    Outcomes = Mapping[bytes, Vector | str]
    """Chunk hash → its vector, or why it has none."""


class Stored(Protocol):
    """Finds the vectors that are stored."""

    def look_up(self, hashes: Collection[bytes]) -> Mapping[bytes, Vector]:
        """Return the vectors that are stored for chunk hashes in this space."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """What a window has to embed itself, and where it gets the rest."""

    found: Mapping[bytes, Vector]
    """What is stored."""
    own: tuple[bytes, ...]
    """What this window, and no other, embeds."""
    others: Mapping[bytes, Future[Outcomes]]
    """What earlier windows embed, or have embedded and not yet written."""
    outcome: Future[Outcomes]
    """What later windows wait for."""

    def resolve(self, outcomes: Outcomes) -> None:
        """Let later windows have what was embedded."""
        self.outcome.set_result(outcomes)

    def fail(self, error: BaseException) -> None:
        """Let later windows, which wait for it, fail as this one did."""
        self.outcome.set_exception(error)

    def wait_for_others(self) -> dict[bytes, Vector | str]:
        """Wait for earlier windows, and return what they made of this one's texts."""
        return {key: outcome.result()[key] for key, outcome in self.others.items()}


class InFlight:
    """The texts whose vectors are on their way into the store; several threads may ask."""

    def __init__(self, stored: Stored) -> None:
        """Begin without any.

        Args:
            stored: finds stored vectors; called by one thread at a time.
        """
        self._stored = stored
        self._lock = Lock()
        self._reserved: dict[bytes, Future[Outcomes]] = {}

    def reserve(self, hashes: Collection[bytes]) -> Reservation:
        """Reserve what is neither stored nor reserved.

        Reservations come first: what is no longer reserved is written, and found in the store.
        """
        with self._lock:
            others = {key: self._reserved[key] for key in hashes if key in self._reserved}
            found = self._stored.look_up([key for key in hashes if key not in others])
            own = tuple(key for key in hashes if key not in others and key not in found)
            outcome: Future[Outcomes] = Future()
            self._reserved.update(dict.fromkeys(own, outcome))
            return Reservation(found, own, others, outcome)

    def forget(self, hashes: Iterable[bytes]) -> None:
        """Drop what was written."""
        with self._lock:
            for key in hashes:
                self._reserved.pop(key, None)
