"""A remote model as an embedder, in the only thread that may connect to other machines.

If the provider is on this machine, the thread may not: the guard compares each address.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from localembed.core import offline
from localembed.embedding.remote.client import Client
from localembed.embedding.remote.sending import Sender
from localembed.errors import ProviderUnusableError, RemoteModelError
from localembed.types.models import (
    NO_PROGRESS,
    Embeddings,
    EngineUse,
    ModelInput,
    ModelSpec,
    Progress,
    Tokenizer,
    share_known,
)

if TYPE_CHECKING:
    from localembed.embedding.remote.backend import KnownLimits
    from localembed.types.arrays import Vector

_LAST_SECONDS = 5.0
"""How long to wait on closing for requests in flight."""
Result = TypeVar("Result")


class RemoteEmbedder:
    """Embeds with a remote model; safe for several threads at once."""

    def __init__(
        self,
        spec: ModelSpec,
        tokenizer: Tokenizer,
        client: Client,
        sender: Sender,
        limits: KnownLimits,
    ) -> None:
        """Start the thread; nothing is sent yet.

        Args:
            spec: the model.
            tokenizer: counts the tokens of queries.
            client: connection to the provider.
            sender: sends requests, with retries.
            limits: stores the limits that the provider reports.
        """
        self._limits = limits
        self.spec = spec
        self._tokenizer = tokenizer
        self._client = client
        self._sender = sender
        self._loop = asyncio.new_event_loop()
        self._submitting = Lock()
        self._open = True
        self._thread = Thread(target=self._run, name="localembed-remote", daemon=True)
        self._thread.start()

    @property
    def use(self) -> EngineUse:
        """Requests so far, and their cost."""
        use = self._sender.use
        tokens = use.tokens_billed
        return EngineUse("openai", self._client.host, "remote", 0, tokens, tokens, 0, use)

    def embed_documents(
        self, inputs: Sequence[ModelInput], /, progress: Progress = NO_PROGRESS
    ) -> Embeddings:
        """Return the vectors of texts (see `types.models.Embedder`).

        Raises:
            RemoteModelError: the provider cannot be used any more.
            CostLimitError: more requests would exceed the cost limit.
        """
        return self._wait(self._sender.embed(inputs, self.spec.dim, progress))

    def embed_query(self, text: str, /) -> Vector:
        """Return (dim,) float32; for a query over the model's limit, the mean of its parts.

        Raises:
            RemoteModelError: the provider could not embed the query.
        """
        parts = self._parts(text)
        try:
            made = self.embed_documents(parts)
        except ProviderUnusableError as error:
            raise self._no_vector(error.reason) from None
        if made.failures:
            raise self._no_vector(next(iter(made.failures.values())))
        mean: Vector = made.vectors.mean(axis=0)
        if len(parts) > 1 and self.spec.normalize:
            mean /= max(float(np.linalg.norm(mean)), 1e-12)
        return mean

    def count_pieces(self, text: str, /) -> int:
        """Return the number of parts in which a query is embedded; 1 if it fits the model."""
        return len(self._parts(text))

    def readable(self, text: str, /) -> float:
        """Return the share of a query's tokens that the model knows, 0 to 1."""
        return share_known(self._tokenizer([text])[0].ids, self._tokenizer.unknown_id)

    def close(self) -> None:
        """Cancel pending work, and end the thread."""
        with self._submitting:
            if self._open:
                self._open = False
                if self._sender.knows_limits:
                    self._limits.keep_rates(*self._sender.limits)
                asyncio.run_coroutine_threadsafe(self._end(), self._loop)

    def _no_vector(self, reason: str) -> RemoteModelError:
        message = (
            f"{self._client.host} could not embed the query: {reason}. Check that it is "
            "running. Searching by words does not need it: --mode text"
        )
        return RemoteModelError(message)

    def _parts(self, text: str) -> list[ModelInput]:
        prompt = self.spec.query_prompt
        tokens = self._tokenizer([text])[0]
        count = max(1, -(-len(tokens.ids) // self.spec.max_tokens))
        if count == 1:
            return [ModelInput(prompt + text, tokens.ids)]
        return [
            ModelInput(prompt + text[tokens.starts[p[0]] : tokens.ends[p[-1]]], tokens.ids[p])
            for p in np.array_split(np.arange(len(tokens.ids)), count)
        ]

    def _wait(self, work: Coroutine[Any, Any, Result]) -> Result:
        with self._submitting:
            if not self._open:
                work.close()
                raise CancelledError
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def _run(self) -> None:
        guard = offline.guard
        limit = guard.confine if self._client.here else guard.let_through
        limit()
        pool = ThreadPoolExecutor(2, "localembed-names", initializer=limit)
        self._loop.set_default_executor(pool)
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.close()

    async def _end(self) -> None:
        own = asyncio.current_task()
        others = [task for task in asyncio.all_tasks() if task is not own]
        self._sender.stop(RemoteModelError("The run was stopped."))
        if others:  # requests in flight are paid for
            _, late = await asyncio.wait(others, timeout=_LAST_SECONDS)
            for task in late:
                task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._client.close()
        self._loop.stop()
