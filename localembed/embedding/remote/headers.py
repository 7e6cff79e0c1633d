"""The rate limits in the headers of a provider's response."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?")


@dataclass(frozen=True, slots=True)
class Allowance:
    """A limit per minute and what is left of it; None where the headers do not say."""

    limit: float | None
    remaining: float | None
    reset: float | None
    """Seconds until the whole limit is available again."""


def allowances(headers: Mapping[str, str]) -> tuple[Allowance, Allowance]:
    """Return the allowances for requests and tokens, the tightest of several budgets."""
    requests = _allowance(headers, "requests")
    tokens = _allowance(headers, "tokens")
    project = _allowance(headers, "project-tokens")
    if project.remaining is not None and project.remaining < _or_infinity(tokens.remaining):
        tokens = project
    return requests, tokens


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float:
    """Return the seconds to wait before a retry, 0 if the headers do not say.

    Args:
        headers: `retry-after-ms`, `retry-after` in seconds or as a date, and resets of an error.
        now: the current time, for a date.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    raw = headers.get("retry-after", "")
    seconds = _number(raw)
    if seconds is None and raw:
        seconds = _seconds_until(raw, now or datetime.now(UTC))
    resets = [
        allowance.reset or 0.0 for allowance in allowances(headers) if allowance.remaining == 0
    ]
    return max(seconds or 0.0, *resets, 0.0)


def seconds_of(text: str) -> float | None:
    """Parse a duration such as `6m0s`, `1.5s`, `120ms` or `20`; None if it is not one."""
    number = _number(text)
    if number is not None:
        return number
    match = _DURATION.fullmatch(text.strip())
    if not match or not any(match.groups()):
        return None
    hours, minutes, seconds, milliseconds = (float(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds + milliseconds / 1000


def _allowance(headers: Mapping[str, str], what: str) -> Allowance:
    reset = headers.get(f"x-ratelimit-reset-{what}")
    return Allowance(
        _number(headers.get(f"x-ratelimit-limit-{what}")),
        _number(headers.get(f"x-ratelimit-remaining-{what}")),
        seconds_of(reset) if reset else None,
    )


def _number(raw: str | None) -> float | None:
    try:
        value = float(raw) if raw else -1.0
    except ValueError:
        return None
    return value if 0 <= value < float("inf") else None


def _or_infinity(value: float | None) -> float:
    return float("inf") if value is None else value


def _seconds_until(date: str, now: datetime) -> float | None:
    try:
        then = parsedate_to_datetime(date)
    except ValueError:
        return None
    if then.tzinfo is None:
        then = then.replace(tzinfo=UTC)
    return max(0.0, (then - now).total_seconds())
