"""Moments as people write them: so long ago, or a local date."""

from __future__ import annotations

import datetime
import re

_AGO = re.compile(r"(\d{1,6})([hdw])")
_HOURS = {"h": 1, "d": 24, "w": 24 * 7}
_MAX_NANOSECONDS = 2**63
"""Times are stored as nanoseconds in 64 bits."""


def parse_moment(text: str) -> int:
    """Return a duration before now, or a local date, in nanoseconds since 1970.

    Raises:
        ValueError: it is neither, or the year cannot be stored; the message says so.
    """
    ago = _AGO.fullmatch(text)
    try:
        if ago:
            hours = int(ago[1]) * _HOURS[ago[2]]
            moment = datetime.datetime.now().astimezone() - datetime.timedelta(hours=hours)
        else:
            moment = datetime.datetime.fromisoformat(text).astimezone()
        nanoseconds = int(moment.timestamp() * 1e9)
    except (ValueError, OverflowError, OSError):
        message = f"{text!r} is neither a duration (12h, 7d, 2w) nor a date such as 2026-11-01"
        raise ValueError(message) from None
    if abs(nanoseconds) >= _MAX_NANOSECONDS:
        message = f"{text!r} is outside of the years 1678 to 2261"
        raise ValueError(message)
    return nanoseconds
