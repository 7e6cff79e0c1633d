"""How fast to ask: as fast as the server allows, and not once faster than it said.

Two token buckets, for requests and for tokens, are set anew from the headers of every answer; how
many requests are in flight grows by one for each answer and is halved when the server has too much
to do (additive increase, multiplicative decrease: Chiu and Jain 1989, with TCP's slow start).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from localembed.embedding.remote.headers import Allowance, allowances
from localembed.modelspec import RemoteSpec

_FIRST = 4
_LOOK_AGAIN = 0.25
"""Seconds; an answer may say meanwhile that there is more."""


class Bucket:
    """What may be used in a minute, refilling as time goes by."""

    def __init__(self, per_minute: float, clock: Callable[[], float]) -> None:
        """Begin full; 0 a minute means that no limit is known."""
        self._clock = clock
        self._limit = float(per_minute)
        self._level = self._limit
        self._rate = self._limit / 60
        self._at = clock()
        self._all_at_once = False
        """Whether the server refills at the end of its minute, and not bit by bit."""
        self._full_at = self._at

    @property
    def per_minute(self) -> float:
        """The limit, 0 if none is known."""
        return self._limit

    def wait(self, amount: float) -> float:
        """Return the seconds until so much may be used; more than the whole waits for the whole."""
        if not self._limit:
            return 0.0
        self._refill()
        lacking = min(amount, self._limit) - self._level
        if lacking <= 0:
            return 0.0
        if self._all_at_once and self._full_at > self._clock():
            return self._full_at - self._clock()
        return lacking / self._rate

    def take(self, amount: float) -> None:
        """Use so much."""
        self._level -= amount

    def learn(self, allowance: Allowance, in_flight: float) -> None:
        """Take over what the server said.

        Args:
            allowance: as its headers had it.
            in_flight: asked for, and perhaps not yet counted when it answered.
        """
        self._refill()
        if allowance.limit:
            self._limit = allowance.limit
            self._rate = self._limit / 60
        if allowance.remaining is None or not self._limit:
            return
        self._level = min(allowance.remaining - in_flight, self._limit)
        if allowance.reset is not None:
            self._full_at = self._clock() + allowance.reset

    def refused(self) -> None:
        """Remember that there was less than it seemed: the server refills all at once."""
        self._refill()
        self._all_at_once = self._full_at > self._clock()
        self._level = min(self._level, 0.0)

    def _refill(self) -> None:
        now = self._clock()
        if not self._all_at_once:
            self._level = min(self._limit, self._level + self._rate * (now - self._at))
        elif self._at < self._full_at <= now:
            self._level = self._limit
        self._at = now


@dataclass(slots=True)
class _Flight:
    """What is on its way."""

    requests: int = 0
    tokens: float = 0.0


class Pace:
    """Lets requests go, one after the other, when the server has room for them."""

    def __init__(
        self,
        remote: RemoteSpec,
        clock: Callable[[], float],
    ) -> None:
        """Begin carefully.

        Args:
            remote: what is known of the limits.
            clock: seconds, never going back.
        """
        self._clock = clock
        self._requests = Bucket(remote.requests_per_minute, clock)
        self._tokens = Bucket(remote.tokens_per_minute, clock)
        most = remote.max_concurrency
        self._most = most
        self._limit = float(min(_FIRST, most))
        self._slow_start = True
        self._halved_at = clock()
        self._paused_until = clock()
        self._flight = _Flight()
        self._turn = asyncio.Lock()
        self._landed = asyncio.Event()
        self.paused = 0.0
        """Seconds that everybody waited because the server had said so."""

    @property
    def per_minute(self) -> tuple[float, float]:
        """Requests and tokens that may be asked for in a minute, 0 where that is not known."""
        return self._requests.per_minute, self._tokens.per_minute

    @asynccontextmanager
    async def slot(self, tokens: float) -> AsyncIterator[None]:
        """Wait for one's turn, and be in flight while inside."""
        async with self._turn:
            while True:
                if (seconds := self._wait(tokens)) > 0:
                    await asyncio.sleep(min(seconds, _LOOK_AGAIN))
                elif self._flight.requests >= int(self._limit):
                    self._landed.clear()
                    await self._landed.wait()
                else:
                    break
            self._requests.take(1)
            self._tokens.take(tokens)
            self._flight.requests += 1
            self._flight.tokens += tokens
        try:
            yield
        finally:
            self._flight.requests -= 1
            self._flight.tokens -= tokens
            self._landed.set()

    def learn(self, headers: Mapping[str, str], tokens: float) -> None:
        """Take over what the headers of an answer say of the limits.

        Args:
            headers: of any answer, also of an error.
            tokens: of the request that was answered, which the server has counted.
        """
        requests, of_tokens = allowances(headers)
        self._requests.learn(requests, self._flight.requests - 1)
        self._tokens.learn(of_tokens, self._flight.tokens - tokens)

    def went_well(self) -> None:
        """Allow one more in flight."""
        step = 1.0 if self._slow_start else 1.0 / self._limit
        self._limit = min(float(self._most), self._limit + step)

    def too_much(self, wait: float, *, limited: bool) -> None:
        """Halve what may be in flight, at most once for what was in flight together, and pause.

        Args:
            wait: seconds that the server asked for, 0 if it did not say.
            limited: whether it was a limit of the minute that was reached.
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
