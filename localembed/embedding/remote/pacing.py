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

FIRST = 4
"""Requests in flight in the beginning, before anything is known."""
_COUNTED_LATER = 1.0
"""Seconds from sending to the server's counting."""
_ROUNDED = 2.0
"""Seconds that a reset may be off from a bucket that refills bit by bit."""
_SHORTEST, _LOOK_AGAIN = 0.001, 0.25
"""Seconds; an answer may say meanwhile that there is more."""


class Bucket:
    """What may be used in a minute, refilling as time goes by."""

    def __init__(self, per_minute: float, clock: Callable[[], float]) -> None:
        """Begin full; 0 a minute means that no limit is known."""
        self._clock = clock
        self._limit = float(per_minute)
        self._rate = self._limit / 60
        self._level = self._full
        self._at = clock()
        self._all_at_once = False
        """Whether the server refills at the end of its minute, and not bit by bit."""
        self._full_at = self._at

    @property
    def per_minute(self) -> float:
        """The limit, 0 if none is known."""
        return self._limit

    @property
    def _full(self) -> float:
        """What may be used at once: a second less than all, since the server counts later."""
        return self._limit - self._rate * _COUNTED_LATER

    def wait(self, amount: float) -> float:
        """Return the seconds until so much may be used; more than the whole waits for the whole."""
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
        """Use so much."""
        self._level -= amount

    def learn(self, allowance: Allowance, uncounted: float) -> None:
        """Correct what is left by what the server said.

        What is really left lies between two bounds: all that it said, and that less everything
        which it may have counted since. Answers overtake each other, so it is no more exact.

        Args:
            allowance: as its headers had it.
            uncounted: asked for beside this request, and perhaps not counted when it was answered.
        """
        self._refill()
        if allowance.limit:
            self._limit = allowance.limit
            self._rate = self._limit / 60
        if allowance.remaining is None or not self._limit:
            return
        most = min(allowance.remaining, self._full)
        self._level = max(min(self._level, most), most - uncounted)
        if allowance.reset is not None:
            self._full_at = self._clock() + allowance.reset
            expected = (self._limit - allowance.remaining) / self._rate
            # Once it is seen it stays: at some moments both kinds say the same.
            self._all_at_once |= abs(allowance.reset - expected) > _ROUNDED

    def refused(self) -> None:
        """Remember that there was less than it seemed."""
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
    """A request that was let go."""

    tokens: float
    requests_counted: int
    """Ever answered when it was sent, and itself: what its answer has counted at least."""
    tokens_counted: float


class Pace:
    """Lets requests go, one after the other, when the server has room for them."""

    def __init__(
        self,
        requests_per_minute: float,
        tokens_per_minute: float,
        most: int,
        clock: Callable[[], float],
        first: int = FIRST,
    ) -> None:
        """Begin carefully.

        Args:
            requests_per_minute: that are allowed, 0 if that is not known yet.
            tokens_per_minute: the same for tokens.
            most: requests in flight.
            clock: seconds, never going back.
            first: of these in the beginning.
        """
        self._clock = clock
        self._requests = Bucket(requests_per_minute, clock)
        self._tokens = Bucket(tokens_per_minute, clock)
        self.was_told = False
        """Whether the server said anything of its limits."""
        self._most = most
        self._limit = float(min(first, most))
        self._slow_start = True
        self._halved_at = clock()
        self._paused_until = clock()
        self._requests_sent = self._requests_answered = 0
        self._tokens_sent = self._tokens_answered = 0.0
        self._over = False
        self._turn = asyncio.Lock()
        self._landed = asyncio.Event()
        self.paused = 0.0
        """Seconds that everybody waited because the server had said so."""

    @property
    def per_minute(self) -> tuple[float, float]:
        """Requests and tokens that may be asked for in a minute, 0 where that is not known."""
        return self._requests.per_minute, self._tokens.per_minute

    @asynccontextmanager
    async def slot(self, tokens: float) -> AsyncIterator[Ticket]:
        """Wait for one's turn, and be in flight while inside."""
        async with self._turn:
            while not self._over:
                if (seconds := self._wait(tokens)) > 0:
                    await asyncio.sleep(min(max(seconds, _SHORTEST), _LOOK_AGAIN))
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
        """Take over what the headers of an answer say of the limits.

        Args:
            headers: of any answer, also of an error.
            ticket: of the request that was answered.
        """
        requests, of_tokens = allowances(headers)
        self.was_told = self.was_told or bool(requests.limit or of_tokens.limit)
        self._requests.learn(requests, self._requests_sent - ticket.requests_counted)
        self._tokens.learn(of_tokens, self._tokens_sent - ticket.tokens_counted)

    def let_all_go(self) -> None:
        """Let nobody wait any more: nothing will be sent, and who waits shall learn of it."""
        self._over = True
        self._landed.set()

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
