"""Sending with retries: failed requests are retried, then split, then reported by input."""

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
from localembed.types.models import Embeddings, ModelInput, Progress, RemoteSpec, RemoteUse

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
"""Consecutive failed texts, without a success, after which the provider is suspected."""
_MAX_UNANSWERED = 24
"""The same for unanswered requests, all their tries together."""


@dataclass(slots=True)
class _Answers:
    """The results of one call so far."""

    vectors: VectorMatrix
    failures: dict[int, str]
    progress: Progress


class _Deadline:
    """The time limit of a request with its retries; it starts when the request is first sent."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._at: float | None = None

    def start(self) -> None:
        if self._at is None:
            self._at = asyncio.get_running_loop().time() + self._seconds

    def allows(self, wait: float) -> bool:
        return self._at is None or asyncio.get_running_loop().time() + wait < self._at


class Sender:
    """Sends inputs to a remote model."""

    def __init__(
        self,
        client: Client,
        remote: RemoteSpec,
        pace: Pace,
        spending: Spending,
        answers: AnswerStore | None,
    ) -> None:
        """Combine the parts.

        Args:
            client: makes one request.
            remote: the limits of a request.
            pace: decides when a request may be sent.
            spending: counts the cost.
            answers: store for each answer's vectors, by key, at once: they were paid for.
        """
        self._client = client
        self._remote = remote
        self._pace = pace
        self._spending = spending
        self._store = answers
        self._scale = 1.0
        """Tokens that the provider counts for each token counted here."""
        self._end: LocalembedError | None = None
        self._lost = self._unanswered = 0
        self._requests = self._retries = 0
        self._probing = asyncio.Lock()

    @property
    def use(self) -> RemoteUse:
        """Requests and cost so far."""
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
        """Limits of requests and tokens per minute, 0 where not known."""
        return self._pace.per_minute

    async def embed(self, inputs: Sequence[ModelInput], dim: int, progress: Progress) -> Embeddings:
        """Return the vectors of inputs, and why some have none.

        Raises:
            LocalembedError: the remote model is unusable, or the cost limit is reached.
        """
        answers = _Answers(np.full((len(inputs), dim), np.nan, np.float32), {}, progress)
        tries = self._remote.max_tries
        try:
            await _all(
                self._embed(part, answers, tries, _Deadline(self._remote.patience_seconds))
                for part in make_requests(inputs, self._remote)
            )
        except CostLimitError:
            raise self._spending.reached() from None  # with the answers since then
        return Embeddings(answers.vectors, answers.failures)

    def stop(self, error: LocalembedError) -> None:
        """Send no more requests; those in flight may finish, since they are paid for."""
        self._end = self._end or error
        self._pace.release_all()

    async def _embed(self, part: Part, answers: _Answers, tries: int, deadline: _Deadline) -> None:
        """Fill in a part's rows; split it in halves if the provider rejects it."""
        try:
            reply = await self._request_with_retries(part, tries, deadline)
        except (RequestTooLargeError, TransientError) as fault:
            await self._raise_if_unusable(part, fault, deadline)
            if len(part.rows) == 1:
                answers.failures[part.rows[0]] = str(fault)
                answers.progress.begun(1)
                return
            await _all(
                self._embed(half, answers, min(tries, 2), deadline) for half in part.halves()
            )
            return
        self._lost = self._unanswered = 0
        answers.vectors[list(part.rows)] = reply.vectors
        answers.progress.begun(len(part.rows))

    async def _request_with_retries(self, part: Part, tries: int, deadline: _Deadline) -> Reply:
        """Request a part until it is answered or the tries are used up."""
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(TransientError),
            stop=partial(_should_stop, tries, deadline),
            wait=self._pause,
            before_sleep=self._count_retry,
            reraise=True,
        )
        try:
            reply: Reply = await retrying(self._request, part, deadline)
        except LocalembedError as error:
            self.stop(error)
            raise
        return reply

    async def _request(self, part: Part, deadline: _Deadline) -> Reply:
        tokens = part.tokens * self._scale
        async with self._pace.slot(tokens) as ticket:
            if self._end is not None:
                raise self._end
            deadline.start()
            self._spending.reserve(tokens)
            self._requests += 1
            billed: int | None = None
            learn: Callable[[Mapping[str, str]], None]
            learn = partial(self._pace.learn, ticket=ticket)
            try:
                reply = await self._client.embed(part.texts, learn)
                billed = part.tokens if reply.tokens is None else reply.tokens
                self._scale += _LEARN * (billed / part.tokens - self._scale)
            except TransientError as fault:
                billed = fault.billed
                if fault.slow_down:
                    # A pause beyond the deadline is not worth it: the request fails, the run ends.
                    wait = fault.wait if deadline.allows(fault.wait) else 0.0
                    self._pace.slow_down(wait, limited=fault.limited)
                raise
            finally:
                self._spending.record(tokens, billed)
            self._pace.speed_up()
            # No await comes before this: a signal there could lose what was paid for.
            if self._store is not None:
                self._store.save(part.keys, reply.vectors)
            return reply

    async def _accepts_plain_text(self) -> bool:
        """Return whether the provider works at all, by requesting a harmless word.

        It skips the queue: otherwise every queued request would fail and end up here first.
        """
        async with self._probing:
            if max(self._lost / _MAX_LOST, self._unanswered / _MAX_UNANSWERED) < 1:
                return True  # another request succeeded meanwhile
            self._spending.reserve(1.0)
            self._requests += 1
            billed: int | None = None
            try:
                billed = (await self._client.embed(("text",), lambda _: None)).tokens
            except TransientError as fault:
                billed = fault.billed
                return False
            except RequestTooLargeError:
                return False
            finally:
                self._spending.record(1.0, billed)
            self._lost = self._unanswered = 0
            return True

    def _pause(self, state: RetryCallState) -> float:
        """Return the seconds before the next try; a pause for all requests is up to the pace."""
        fault = _fault(state)
        if fault is not None and fault.wait:
            return 0.0 if fault.slow_down else fault.wait
        waiting = wait_random_exponential(_FIRST_WAIT, _MAX_WAIT)
        return waiting(state)

    def _count_retry(self, _state: RetryCallState) -> None:
        self._retries += 1

    async def _raise_if_unusable(self, part: Part, fault: Exception, deadline: _Deadline) -> None:
        """Give up if smaller requests would not help.

        Raises:
            ProviderUnusableError: they would not; finished answers are kept.
        """
        self._lost += len(part.rows) == 1
        self._unanswered += isinstance(fault, TransientError)
        whole = isinstance(fault, UnreachableError | WrongModelError) or (
            isinstance(fault, TransientError) and fault.slow_down
        )
        out_of_time = not deadline.allows(0.0)
        many = self._lost >= _MAX_LOST or self._unanswered >= _MAX_UNANSWERED
        if many and not whole and await self._accepts_plain_text():
            many = False  # the texts are at fault, such as all of one file, not the provider
        if whole or out_of_time or many:
            message = (
                f"{self._client.host} gave no usable answer: {str(fault).rstrip('.')}. Finished "
                "answers are kept; run the same command again to continue."
            )
            error = ProviderUnusableError(message, str(fault))
            self.stop(error)
            raise error


def _should_stop(tries: int, deadline: _Deadline, state: RetryCallState) -> bool:
    """Return whether to stop retrying; a refusal for overload does not count as a try."""
    fault = _fault(state)
    if fault is None or not deadline.allows(fault.wait):
        return True
    return not fault.slow_down and state.attempt_number >= tries


def _fault(state: RetryCallState) -> TransientError | None:
    error = state.outcome.exception() if state.outcome is not None else None
    return error if isinstance(error, TransientError) else None


async def _all(tasks: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Wait for all tasks even if one fails: the others' answers are paid for."""
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if outcome is not None:
            raise outcome
