"""What a run costs, and that it costs no more than was said."""

from __future__ import annotations

import math

from localembed.errors import CostLimitError, UsageError
from localembed.types.models import ModelSpec

MILLION = 1_000_000
_ENOUGH = 16
"""Tokens from which on a bill says something of the next one."""


class Spending:
    """Counts tokens, as billed where the server says so."""

    def __init__(self, spec: ModelSpec, max_cost: float | None) -> None:
        """Begin with nothing spent.

        Args:
            spec: with the price, if it has one.
            max_cost: US dollars; None for no limit.

        Raises:
            UsageError: there is a limit and no price, or the limit is no amount.
        """
        if max_cost is not None and not 0 <= max_cost < math.inf:
            message = f"--max-cost is {max_cost}, but must be an amount of US dollars."
            raise UsageError(message)
        price = spec.remote.usd_per_million_tokens if spec.remote else 0.0
        if max_cost is not None and not price:
            message = (
                f"--max-cost: no price is known for model '{spec.name}'. Write "
                "usd_per_million_tokens into its block in models.toml."
            )
            raise UsageError(message)
        self._price = price / MILLION
        self._most = max_cost
        self._expected = 0.0
        """Tokens of requests that are under way."""
        self._worst = 1.0
        """Tokens billed for one that was reserved, at the worst; no limit is trusted to a mean."""
        self.tokens = 0

    @property
    def usd(self) -> float | None:
        """What was billed, None where no price is known."""
        return self.tokens * self._price if self._price else None

    def reserve(self, tokens: float) -> None:
        """Count a request that is about to be sent.

        Raises:
            CostLimitError: it could cost more than what is left.
        """
        would_be = (self.tokens + (self._expected + tokens) * self._worst) * self._price
        if self._most is not None and would_be > self._most:
            raise self.reached()
        self._expected += tokens

    def settle(self, reserved: float, billed: int | None) -> None:
        """Count what a request really cost; None where it failed."""
        self._expected -= reserved
        self.tokens += billed or 0
        if reserved >= _ENOUGH:
            self._worst = max(self._worst, (billed or 0) / reserved)

    def reached(self) -> CostLimitError:
        """Return the error that says what was spent."""
        message = (
            f"Stopped at the limit of ${self._most or 0.0:,.2f}: {self.tokens:,} tokens were "
            f"billed, ${self.tokens * self._price:,.4f}. What came is kept; the same command "
            "goes on from there."
        )
        return CostLimitError(message)
