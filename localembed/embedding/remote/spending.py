"""The cost of a run, and its limit."""

from __future__ import annotations

import math

from localembed.errors import CostLimitError, UsageError
from localembed.types.models import ModelSpec

MILLION = 1_000_000
_MIN_TOKENS = 16
"""Reserved tokens from which a bill is used to predict the next one."""


class Spending:
    """A count of tokens, as billed where the provider says so."""

    def __init__(self, spec: ModelSpec, max_cost: float | None) -> None:
        """Start with nothing spent.

        Args:
            spec: the model with its price, if known.
            max_cost: US dollars; None for no limit.

        Raises:
            UsageError: there is a limit but no price, or the limit is not an amount.
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
        self._max_cost = max_cost
        self._reserved = 0.0
        """Tokens of requests in flight."""
        self._worst = 1.0
        """Highest ratio of billed to reserved tokens; a mean could exceed the limit."""
        self.tokens = 0

    @property
    def usd(self) -> float | None:
        """US dollars billed, None if no price is known."""
        return self.tokens * self._price if self._price else None

    def reserve(self, tokens: float) -> None:
        """Count a request that is about to be sent.

        Raises:
            CostLimitError: it could cost more than is left.
        """
        would_be = (self.tokens + (self._reserved + tokens) * self._worst) * self._price
        if self._max_cost is not None and would_be > self._max_cost:
            raise self.reached()
        self._reserved += tokens

    def record(self, reserved: float, billed: int | None) -> None:
        """Count what a request was billed; None if it failed."""
        self._reserved -= reserved
        self.tokens += billed or 0
        if reserved >= _MIN_TOKENS:
            self._worst = max(self._worst, (billed or 0) / reserved)

    def reached(self) -> CostLimitError:
        """Return the error for a cost limit that is reached."""
        message = (
            f"Stopped at the limit of ${self._max_cost or 0.0:,.2f}: {self.tokens:,} tokens were "
            f"billed, ${self.tokens * self._price:,.4f}. Finished answers are kept; run the same "
            "command again to continue."
        )
        return CostLimitError(message)
