"""Make sure that no two windows embed the same text: track what is embedded or written now."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from localembed.types.arrays import Vector

    Outcomes = Mapping[bytes, Vector | str]
    """Chunk hash → its vector, or the reason why it has none."""


class Stored(Protocol):
    """Finds stored vectors."""

    def look_up(self, hashes: Collection[bytes]) -> Mapping[bytes, Vector]:
        """Return the vectors that are stored for chunk hashes in this space."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """What a window must embed itself, and the sources of the rest."""

    found: Mapping[bytes, Vector]
    """Stored vectors."""
    own: tuple[bytes, ...]
    """Hashes that this window embeds, and no other."""
    others: Mapping[bytes, Future[Outcomes]]
    """Outcomes of earlier windows that are embedding them, or have not written them yet."""
    outcome: Future[Outcomes]
    """Outcomes of this window, for later windows to wait for."""

    def resolve(self, outcomes: Outcomes) -> None:
        """Hand the outcomes to later windows."""
        self.outcome.set_result(outcomes)

    def fail(self, error: BaseException) -> None:
        """Make later windows that wait for this one fail as well."""
        self.outcome.set_exception(error)

    def wait_for_others(self) -> dict[bytes, Vector | str]:
        """Wait for earlier windows, and return their outcomes for this one's texts.

        After an early end, some are missing.
        """
        outcomes = {key: outcome.result() for key, outcome in self.others.items()}
        return {key: found[key] for key, found in outcomes.items() if key in found}


class InFlight:
    """The texts whose vectors are not in the store yet; safe for several threads."""

    def __init__(self, stored: Stored) -> None:
        """Start empty.

        Args:
            stored: finds stored vectors; called by one thread at a time.
        """
        self._stored = stored
        self._lock = Lock()
        self._reserved: dict[bytes, Future[Outcomes]] = {}

    def reserve(self, hashes: Collection[bytes]) -> Reservation:
        """Reserve the hashes that are neither stored nor reserved.

        Reservations are checked first: what is no longer reserved is already in the store.
        """
        with self._lock:
            others = {key: self._reserved[key] for key in hashes if key in self._reserved}
            found = self._stored.look_up([key for key in hashes if key not in others])
            own = tuple(key for key in hashes if key not in others and key not in found)
            outcome: Future[Outcomes] = Future()
            self._reserved.update(dict.fromkeys(own, outcome))
            return Reservation(found, own, others, outcome)

    def forget(self, hashes: Iterable[bytes]) -> None:
        """Drop reservations of vectors that were written."""
        with self._lock:
            for key in hashes:
                self._reserved.pop(key, None)
