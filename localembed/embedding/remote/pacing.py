"""Pacing of requests: as fast as the provider allows, and never faster than its stated limits.

Two token buckets, for requests and for tokens, are updated from the headers of every answer. The
number of requests in flight grows by one for each answer and is halved when the provider is
overloaded (additive increase, multiplicative decrease: Chiu and Jain 1989, with TCP's slow start).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from localembed.embedding.remote.headers import Allowance, allowances

FIRST = 4
"""Initial number of requests in flight."""
_COUNTED_LATER = 1.0
"""Seconds from sending a request until the provider counts it."""
_ROUNDED = 2.0
"""Seconds by which a reset may differ from that of a bucket that refills gradually."""
_MIN_SLEEP, _MAX_SLEEP = 0.001, 0.25
"""Seconds between checks; an answer may raise the allowance meanwhile."""


class Bucket:
    """An allowance per minute that refills over time."""

    def __init__(self, per_minute: float, clock: Callable[[], float]) -> None:
        """Start full; 0 per minute means that no limit is known."""
        self._clock = clock
        self._limit = float(per_minute)
        self._rate = self._limit / 60
        self._level = self._full
        self._at = clock()
        self._all_at_once = False
        """Whether the provider refills at the end of its minute instead of gradually."""
        self._full_at = self._at

    @property
    def per_minute(self) -> float:
        """Limit per minute, 0 if none is known."""
        return self._limit

    @property
    def _full(self) -> float:
        """Maximum level: one second less than the limit, since the provider counts later."""
        return self._limit - self._rate * _COUNTED_LATER

    def wait(self, amount: float) -> float:
        """Return the seconds until `amount`, or a full bucket if that is less, is available."""
        if not self._limit:
            return 0.0
        self._refill()
        lacking = min(amount, self._full) - self._level
        if lacking <= 0:
            return 0.0
        if self._all_at_once and self._full_at > self._clock():
            return self._full_at - self._clock()
        return lacking / self._rate

    def take(self, amount: float) -> None:
        """Use `amount`."""
        self._level -= amount

    def learn(self, allowance: Allowance, uncounted: float) -> None:
        """Correct the level from the provider's headers.

        The true level lies between two bounds: what the headers say, and that minus everything
        the provider may have counted since. Answers overtake each other, so no more is known.

        Args:
            allowance: from the headers.
            uncounted: used by other requests that may not have been counted in this answer.
        """
        self._refill()
        if allowance.limit:
            self._limit = allowance.limit
            self._rate = self._limit / 60
        if allowance.remaining is None or not self._limit:
            return
        remaining = min(allowance.remaining, self._full)
        self._level = max(min(self._level, remaining), remaining - uncounted)
        if allowance.reset is not None:
            self._full_at = self._clock() + allowance.reset
            expected = (self._limit - allowance.remaining) / self._rate
            # Never reset: at some moments both kinds give the same headers.
            self._all_at_once |= abs(allowance.reset - expected) > _ROUNDED

    def refused(self) -> None:
        """Empty the bucket after a refusal."""
        self._refill()
        self._level = min(self._level, 0.0)

    def _refill(self) -> None:
        now = self._clock()
        if not self._all_at_once or self._at >= self._full_at:
            self._level = min(self._full, self._level + self._rate * (now - self._at))
        elif now >= self._full_at:
            self._level = self._full
        self._at = now


@dataclass(frozen=True, slots=True)
class Ticket:
    """A request that may be sent."""

    tokens: float
    requests_counted: int
    """Requests answered before this one was sent, plus itself: what its answer at least counts."""
    tokens_counted: float
    """The same for tokens."""


class Pace:
    """Admission of requests, one after the other, within the provider's limits."""

    def __init__(
        self,
        requests_per_minute: float,
        tokens_per_minute: float,
        max_in_flight: int,
        clock: Callable[[], float],
        first: int = FIRST,
    ) -> None:
        """Start with few requests in flight.

        Args:
            requests_per_minute: the limit, 0 if it is not known yet.
            tokens_per_minute: the same for tokens.
            max_in_flight: maximum requests in flight.
            clock: monotonic time in seconds.
            first: initial requests in flight.
        """
        self._clock = clock
        self._requests = Bucket(requests_per_minute, clock)
        self._tokens = Bucket(tokens_per_minute, clock)
        self.was_told = False
        """Whether any headers stated the provider's limits."""
        self._max_in_flight = max_in_flight
        self._limit = float(min(first, max_in_flight))
        self._slow_start = True
        self._halved_at = clock()
        self._paused_until = clock()
        self._requests_sent = self._requests_answered = 0
        self._tokens_sent = self._tokens_answered = 0.0
        self._stopped = False
        self._turn = asyncio.Lock()
        self._landed = asyncio.Event()
        self.paused = 0.0
        """Seconds that all requests waited because the provider asked for it."""

    @property
    def per_minute(self) -> tuple[float, float]:
        """Limits of requests and tokens per minute, 0 where not known."""
        return self._requests.per_minute, self._tokens.per_minute

    @asynccontextmanager
    async def slot(self, tokens: float) -> AsyncIterator[Ticket]:
        """Wait until a request may be sent; it is in flight inside the block."""
        async with self._turn:
            while not self._stopped:
                if (seconds := self._wait(tokens)) > 0:
                    await asyncio.sleep(min(max(seconds, _MIN_SLEEP), _MAX_SLEEP))
                elif self._requests_sent - self._requests_answered >= int(self._limit):
                    self._landed.clear()
                    await self._landed.wait()
                else:
                    break
            self._requests.take(1)
            self._tokens.take(tokens)
            ticket = Ticket(tokens, self._requests_answered + 1, self._tokens_answered + tokens)
            self._requests_sent += 1
            self._tokens_sent += tokens
        try:
            yield ticket
        finally:
            self._requests_answered += 1
            self._tokens_answered += tokens
            self._landed.set()

    def learn(self, headers: Mapping[str, str], ticket: Ticket) -> None:
        """Update the limits from the headers of a response.

        Args:
            headers: headers of any response, errors included.
            ticket: the ticket of its request.
        """
        requests, of_tokens = allowances(headers)
        self.was_told = self.was_told or bool(requests.limit or of_tokens.limit)
        self._requests.learn(requests, self._requests_sent - ticket.requests_counted)
        self._tokens.learn(of_tokens, self._tokens_sent - ticket.tokens_counted)

    def release_all(self) -> None:
        """Release all waiting requests, since nothing more will be sent."""
        self._stopped = True
        self._landed.set()

    def speed_up(self) -> None:
        """Allow one more request in flight after a success."""
        step = 1.0 if self._slow_start else 1.0 / self._limit
        self._limit = min(float(self._max_in_flight), self._limit + step)

    def slow_down(self, wait: float, *, limited: bool) -> None:
        """Halve the requests in flight, once for all that were in flight together, and pause.

        Args:
            wait: seconds that the provider asked to wait, 0 if it did not say.
            limited: whether a limit per minute was reached.
        """
        now = self._clock()
        if now - self._halved_at > 1.0:
            self._limit = max(1.0, self._limit / 2)
            self._halved_at = now
        self._slow_start = False
        if limited:
            self._requests.refused()
            self._tokens.refused()
        if wait:
            until = now + wait + random.uniform(0, min(1.0, 0.1 * wait))
            self.paused += max(0.0, until - max(now, self._paused_until))
            self._paused_until = max(self._paused_until, until)

    def _wait(self, tokens: float) -> float:
        return max(
            self._paused_until - self._clock(), self._requests.wait(1), self._tokens.wait(tokens)
        )
