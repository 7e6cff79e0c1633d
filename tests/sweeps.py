"""Sweeps: a few of their cases run with every `make test`, all of them with `make test-slow`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pytest


def sampled(cases: Iterable[Any], every: int) -> list[Any]:
    """Return cases for `parametrize` of which all but each n-th are slow tests.

    Args:
        cases: values, or tuples of values for several parameters.
        every: n; the first case is always among those that are kept.
    """
    return [
        case if not number % every else pytest.param(*_values(case), marks=pytest.mark.slow)
        for number, case in enumerate(cases)
    ]


def _values(case: Any) -> Sequence[Any]:
    return case if isinstance(case, tuple) else (case,)
