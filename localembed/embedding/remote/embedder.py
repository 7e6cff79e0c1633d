"""A server's model as an embedder: one thread, which alone may leave this machine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from localembed.core import offline
from localembed.embedding.remote.client import Client
from localembed.embedding.remote.sending import Sender
from localembed.errors import ProviderUnusableError, RemoteModelError
from localembed.types.models import Embeddings, EngineUse, ModelInput, ModelSpec, Tokenizer

if TYPE_CHECKING:
    from localembed.embedding.remote.backend import KnownLimits
    from localembed.types.arrays import Vector

_LAST_SECONDS = 5.0
Result = TypeVar("Result")


class RemoteEmbedder:
    """Asks a server that speaks OpenAI's protocol. Several threads may ask at once."""

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
            spec: what is asked for.
            tokenizer: counts what is in a query.
            client: the server.
            sender: asks it.
            limits: remembers the limits that the provider named.
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
        """What was asked for so far, and what it cost."""
        use = self._sender.use
        tokens = use.tokens_billed
        return EngineUse("openai", self._client.host, "remote", 0, tokens, tokens, 0, use)

    def embed_documents(
        self, inputs: Sequence[ModelInput], /, on_batch: Callable[[int], None] = lambda _: None
    ) -> Embeddings:
        """Return the vectors of texts (see `types.models.Embedder`).

        Raises:
            RemoteModelError: no more can be had from this server.
            CostLimitError: no more can be had for this money.
        """
        return self._wait(self._sender.embed(inputs, self.spec.dim, on_batch))

    def embed_query(self, text: str, /) -> Vector:
        """Return (dim,) float32; of a query longer than the model, the mean of its pieces.

        Raises:
            RemoteModelError: the server gives no vector.
        """
        pieces = self._pieces(text)
        try:
            made = self.embed_documents(pieces)
        except ProviderUnusableError as error:
            raise self._no_vector(error.reason) from None
        if made.failures:
            raise self._no_vector(next(iter(made.failures.values())))
        mean: Vector = made.vectors.mean(axis=0)
        if len(pieces) > 1 and self.spec.normalize:
            mean /= max(float(np.linalg.norm(mean)), 1e-12)
        return mean

    def count_pieces(self, text: str, /) -> int:
        """Return in how many pieces a query is embedded; 1 if it fits the model."""
        return len(self._pieces(text))

    def close(self) -> None:
        """Give up what is under way, and end the thread."""
        with self._submitting:
            if self._open:
                self._open = False
                if self._sender.knows_limits:
                    self._limits.keep_rates(*self._sender.limits)
                asyncio.run_coroutine_threadsafe(self._end(), self._loop)

    def _no_vector(self, reason: str) -> RemoteModelError:
        message = (
            f"{self._client.host} gives the query no vector: {reason}. Look whether the server "
            "runs. Searching by words needs none: --mode text"
        )
        return RemoteModelError(message)

    def _pieces(self, text: str) -> list[ModelInput]:
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
        offline.guard.let_through()
        pool = ThreadPoolExecutor(2, "localembed-names", initializer=offline.guard.let_through)
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
        if others:  # what is on its way is paid for
            _, late = await asyncio.wait(others, timeout=_LAST_SECONDS)
            for task in late:
                task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._client.close()
        self._loop.stop()
