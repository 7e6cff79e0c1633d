"""Everything that was asked for, whatever goes wrong: again, then in halves, then by name."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type
from tenacity.wait import wait_random_exponential

from localembed.embedding.remote.requests import Part, make_requests
from localembed.errors import (
    CostLimitError,
    LocalembedError,
    ProviderUnusableError,
    RequestTooLargeError,
    TransientError,
    UnreachableError,
    WrongModelError,
)
from localembed.types.models import Embeddings, ModelInput, RemoteSpec, RemoteUse

if TYPE_CHECKING:
    from localembed.embedding.options import AnswerStore
    from localembed.embedding.remote.client import Client
    from localembed.embedding.remote.pacing import Pace
    from localembed.embedding.remote.reply import Reply
    from localembed.embedding.remote.spending import Spending
    from localembed.types.arrays import VectorMatrix


_FIRST_WAIT, _MAX_WAIT = 0.25, 20.0
_LEARN = 0.2
_MAX_LOST = 8
"""Texts in a row that get no vector, and none that gets one: then it is the server."""
_MAX_UNANSWERED = 24
"""The same for requests of several texts, all their tries together."""


@dataclass(slots=True)
class _Answers:
    """One call: what came of it so far."""

    vectors: VectorMatrix
    failures: dict[int, str]
    on_batch: Callable[[int], None]


class _Deadline:
    """Until when to go on; it begins to run when the request is first sent."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._at: float | None = None

    def begin(self) -> None:
        if self._at is None:
            self._at = asyncio.get_running_loop().time() + self._seconds

    def leaves(self, wait: float) -> bool:
        return self._at is None or asyncio.get_running_loop().time() + wait < self._at


class Sender:
    """Asks a server for vectors."""

    def __init__(
        self,
        client: Client,
        remote: RemoteSpec,
        pace: Pace,
        spending: Spending,
        answers: AnswerStore | None,
    ) -> None:
        """Take what it is made of.

        Args:
            client: makes one request.
            remote: how much it takes at once.
            pace: says when.
            spending: says how much.
            answers: where answers are kept at once, since they were paid for.
        """
        self._client = client
        self._remote = remote
        self._pace = pace
        self._spending = spending
        self._store = answers
        self._scale = 1.0
        """Tokens as the server counts them, for one as counted here."""
        self._end: LocalembedError | None = None
        self._lost = self._unanswered = 0
        self._requests = self._retries = 0
        self._proving = asyncio.Lock()

    @property
    def use(self) -> RemoteUse:
        """What was asked for so far."""
        return RemoteUse(
            requests=self._requests,
            retries=self._retries,
            tokens_billed=self._spending.tokens,
            usd=self._spending.usd,
            paused_seconds=self._pace.paused,
        )

    @property
    def knows_limits(self) -> bool:
        """Whether the provider has named its limits."""
        return self._pace.was_told

    @property
    def limits(self) -> tuple[float, float]:
        """Requests and tokens a minute, as far as they are known."""
        return self._pace.per_minute

    async def embed(
        self, inputs: Sequence[ModelInput], dim: int, on_batch: Callable[[int], None]
    ) -> Embeddings:
        """Return the vectors of inputs, and why some have none.

        Raises:
            LocalembedError: no more can be had from this server, or for this money.
        """
        answers = _Answers(np.full((len(inputs), dim), np.nan, np.float32), {}, on_batch)
        tries = self._remote.max_tries
        try:
            await _all(
                self._embed(part, answers, tries, _Deadline(self._remote.patience_seconds))
                for part in make_requests(inputs, self._remote)
            )
        except CostLimitError:
            raise self._spending.reached() from None  # with what came since
        return Embeddings(answers.vectors, answers.failures)

    def stop(self, error: LocalembedError) -> None:
        """Send nothing any more; what is on its way may come, since it is paid for."""
        self._end = self._end or error
        self._pace.let_all_go()

    async def _embed(self, part: Part, answers: _Answers, tries: int, deadline: _Deadline) -> None:
        """Fill in a part's rows, cutting it in halves where the server does not take it whole."""
        try:
            reply = await self._persist(part, tries, deadline)
        except (RequestTooLargeError, TransientError) as fault:
            await self._look_whether_hopeless(part, fault, deadline)
            if len(part.rows) == 1:
                answers.failures[part.rows[0]] = str(fault)
                answers.on_batch(1)
                return
            await _all(
                self._embed(half, answers, min(tries, 2), deadline) for half in part.halves()
            )
            return
        self._lost = self._unanswered = 0
        answers.vectors[list(part.rows)] = reply.vectors
        answers.on_batch(len(part.rows))

    async def _persist(self, part: Part, tries: int, deadline: _Deadline) -> Reply:
        """Ask until there is an answer, or until it is enough."""
        asking = AsyncRetrying(
            retry=retry_if_exception_type(TransientError),
            stop=partial(_is_enough, tries, deadline),
            wait=self._pause,
            before_sleep=self._count_retry,
            reraise=True,
        )
        try:
            reply: Reply = await asking(self._once, part, deadline)
        except LocalembedError as error:
            self.stop(error)
            raise
        return reply

    async def _once(self, part: Part, deadline: _Deadline) -> Reply:
        tokens = part.tokens * self._scale
        async with self._pace.slot(tokens) as ticket:
            if self._end is not None:
                raise self._end
            deadline.begin()
            self._spending.reserve(tokens)
            self._requests += 1
            billed: int | None = None
            learn: Callable[[Mapping[str, str]], None]
            learn = partial(self._pace.learn, ticket=ticket)
            try:
                reply = await self._client.ask(part.texts, learn)
                billed = part.tokens if reply.tokens is None else reply.tokens
                self._scale += _LEARN * (billed / part.tokens - self._scale)
            except TransientError as fault:
                billed = fault.billed
                if fault.slow_down:
                    # Nobody waits for longer than a request is worth; it fails, and the run ends.
                    wait = fault.wait if deadline.leaves(fault.wait) else 0.0
                    self._pace.too_much(wait, limited=fault.limited)
                raise
            finally:
                self._spending.settle(tokens, billed)
            self._pace.went_well()
            # While nothing can come between, or a signal here would lose what was paid for.
            if self._store is not None:
                self._store.save(part.keys, reply.vectors)
            return reply

    async def _takes_a_plain_text(self) -> bool:
        """Tell whether the server is of use at all, by a word that nobody can object to.

        It waits for nobody: while it would, all others in the queue would find the same out.
        """
        async with self._proving:
            if max(self._lost / _MAX_LOST, self._unanswered / _MAX_UNANSWERED) < 1:
                return True  # somebody else has just seen it
            self._spending.reserve(1.0)
            self._requests += 1
            billed: int | None = None
            try:
                billed = (await self._client.ask(("text",), lambda _: None)).tokens
            except TransientError as fault:
                billed = fault.billed
                return False
            except RequestTooLargeError:
                return False
            finally:
                self._spending.settle(1.0, billed)
            self._lost = self._unanswered = 0
            return True

    def _pause(self, state: RetryCallState) -> float:
        """Return the seconds before the next try; a pause for all is kept by the pace."""
        fault = _fault(state)
        if fault is not None and fault.wait:
            return 0.0 if fault.slow_down else fault.wait
        waiting = wait_random_exponential(_FIRST_WAIT, _MAX_WAIT)
        return waiting(state)

    def _count_retry(self, _state: RetryCallState) -> None:
        self._retries += 1

    async def _look_whether_hopeless(
        self, part: Part, fault: Exception, deadline: _Deadline
    ) -> None:
        """Give up where asking for less would not help.

        Raises:
            ProviderUnusableError: then; what came is kept.
        """
        self._lost += len(part.rows) == 1
        self._unanswered += isinstance(fault, TransientError)
        whole = isinstance(fault, UnreachableError | WrongModelError) or (
            isinstance(fault, TransientError) and fault.slow_down
        )
        out_of_time = not deadline.leaves(0.0)
        many = self._lost >= _MAX_LOST or self._unanswered >= _MAX_UNANSWERED
        if many and not whole and await self._takes_a_plain_text():
            many = False  # then it is the texts, such as all of one file, and not the server
        if whole or out_of_time or many:
            message = (
                f"{self._client.host} gave no usable answer: {str(fault).rstrip('.')}. Finished "
                "answers are kept; run the same command again to resume."
            )
            error = ProviderUnusableError(message, str(fault))
            self.stop(error)
            raise error


def _is_enough(tries: int, deadline: _Deadline, state: RetryCallState) -> bool:
    """Tell whether to stop asking; that others were first does not count as a try."""
    fault = _fault(state)
    if fault is None or not deadline.leaves(fault.wait):
        return True
    return not fault.slow_down and state.attempt_number >= tries


def _fault(state: RetryCallState) -> TransientError | None:
    error = state.outcome.exception() if state.outcome is not None else None
    return error if isinstance(error, TransientError) else None


async def _all(tasks: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Wait for all tasks, also when one fails: what the others get was paid for."""
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if outcome is not None:
            raise outcome
