"""Pacing of requests, simulated for minutes in a loop whose clock does not wait."""

from __future__ import annotations

import asyncio
import selectors
from datetime import UTC, datetime
from typing import Any

import pytest

from localembed.embedding.remote.headers import allowances, retry_after, seconds_of
from localembed.embedding.remote.pacing import Pace


class _Jumping(selectors.SelectSelector):
    """A selector that advances its clock instead of waiting."""

    now = 1000.0

    def select(self, timeout=None):
        self.now += timeout or 0.0
        return super().select(0)


def simulate(work):
    """Run a coroutine function of a clock in simulated time."""
    selector = _Jumping()
    loop: Any = asyncio.SelectorEventLoop(selector)
    loop.time = lambda: selector.now
    try:
        return loop.run_until_complete(work(loop.time))
    finally:
        loop.close()


class Server:
    """A provider with a limit of tokens per minute and a delay in seconds."""

    def __init__(self, clock, limit, *, all_at_once=False, delay=0.5, has_headers=True):
        self.clock, self.limit, self.all_at_once = clock, limit, all_at_once
        self.delay, self.has_headers = delay, has_headers
        self.level, self.at = float(limit), clock()
        self.used, self.refused = [], []

    def headers(self):
        if not self.has_headers:
            return {}
        reset = 60 - (self.clock() - self.at) if self.all_at_once else 0
        reset = reset or (self.limit - self.level) / (self.limit / 60)
        return {
            "x-ratelimit-limit-tokens": str(self.limit),
            "x-ratelimit-remaining-tokens": str(int(max(0, self.level))),
            "x-ratelimit-reset-tokens": f"{reset:.3f}s",
        }

    def _refill(self):
        now = self.clock()
        if not self.all_at_once:
            self.level = min(self.limit, self.level + self.limit / 60 * (now - self.at))
            self.at = now
        elif now - self.at >= 60:
            self.level, self.at = float(self.limit), now

    async def answer(self, tokens):
        await asyncio.sleep(self.delay / 2)
        self._refill()
        good = self.level >= tokens
        (self.used if good else self.refused).append((self.clock(), tokens))
        self.level -= tokens if good else 0
        headers = self.headers()
        await asyncio.sleep(self.delay / 2)
        return good, headers


async def send_requests(server, clock, minutes, *, tokens, guess=1.0, limit=0):
    pace = Pace(0, limit, 64, clock)
    end = clock() + 60 * minutes

    async def one():
        while clock() < end:
            async with pace.slot(tokens * guess) as ticket:
                if clock() >= end:
                    return
                good, headers = await server.answer(tokens)
                pace.learn(headers, ticket)
                if good:
                    pace.speed_up()
                else:
                    pace.slow_down(retry_after(headers), limited=True)

    await asyncio.gather(*(one() for _ in range(100)))
    return pace


@pytest.mark.parametrize(
    ("all_at_once", "guess"), [(False, 1.0), (False, 1.3), (False, 0.8), (True, 1.0), (True, 1.3)]
)
def test_a_limit_is_used_up_and_not_exceeded(all_at_once, guess):
    async def work(clock):
        server = Server(clock, 1_000_000, all_at_once=all_at_once)
        await send_requests(server, clock, 6, tokens=12_000, guess=guess)
        return server

    server = simulate(work)
    late = 1000 + 60
    share = sum(tokens for at, tokens in server.used if at > late) / 5_000_000
    assert share >= 0.95
    assert [at for at, _ in server.refused if at > late] == []


def test_without_headers_the_limit_in_models_toml_holds():
    async def work(clock):
        server = Server(clock, 100_000, has_headers=False)
        await send_requests(server, clock, 4, tokens=1000, limit=100_000)
        return server

    server = simulate(work)
    assert server.refused == []
    assert sum(tokens for at, tokens in server.used if at > 1060) >= 0.95 * 300_000


def test_a_refusal_halves_the_requests_in_flight_once_and_pauses_all():
    async def work(clock):
        pace = Pace(0, 0, 64, clock)
        for _ in range(40):
            pace.speed_up()
        before = pace._limit
        await asyncio.sleep(2)
        for _ in range(5):
            pace.slow_down(3.0, limited=False)
        assert pace._limit == before / 2
        begin = clock()
        async with pace.slot(1):
            return clock() - begin, pace.paused

    waited, paused = simulate(work)
    assert 3.0 <= waited <= 3.4
    assert paused == pytest.approx(waited, abs=0.01)


def test_requests_are_limited_too():
    async def work(clock):
        pace = Pace(60, 0, 64, clock)
        begin = clock()
        for _ in range(90):
            async with pace.slot(1):
                pass
        return clock() - begin

    assert simulate(work) == pytest.approx(30, abs=1)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1s", 1), ("6m0s", 360), ("120ms", 0.12), ("1h2m3.5s", 3723.5), ("20", 20), ("0", 0),
        ("", None), ("soon", None), ("-3", None), ("nan", None), ("inf", None),
    ],
)  # fmt: skip
def test_durations(text, seconds):
    assert seconds_of(text) == seconds


def test_how_long_to_wait():
    now = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
    assert retry_after({}) == 0
    assert retry_after({"retry-after": "7"}) == 7
    assert retry_after({"retry-after-ms": "1500", "retry-after": "7"}) == 1.5
    assert retry_after({"retry-after": "Mon, 23 Nov 2026 12:00:30 GMT"}, now) == 30
    assert retry_after({"retry-after": "Mon, 23 Nov 2020 12:00:30 GMT"}, now) == 0
    assert retry_after({"retry-after": "rubbish"}) == 0
    used_up = {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "9s"}
    assert retry_after({"retry-after": "2", **used_up}) == 9


def test_the_tightest_of_several_budgets_counts():
    headers = {
        "x-ratelimit-limit-tokens": "1000", "x-ratelimit-remaining-tokens": "900",
        "x-ratelimit-limit-project-tokens": "500", "x-ratelimit-remaining-project-tokens": "10",
    }  # fmt: skip
    assert allowances(headers)[1].limit == 500
