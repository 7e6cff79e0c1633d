"""One request to a provider with OpenAI's protocol, and the meaning of its errors."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlsplit

from localembed.embedding.remote.headers import retry_after
from localembed.embedding.remote.reply import Reply, largest_reply, read_reply
from localembed.errors import (
    OfflineError,
    RemoteModelError,
    RequestTooLargeError,
    TransientError,
    UnreachableError,
)
from localembed.types.models import ModelSpec, RemoteSpec

if TYPE_CHECKING:
    from collections.abc import Callable

    OnHeaders = Callable[[Mapping[str, str]], None]

_CONNECT_SECONDS = 10.0
_LONG_WAIT_SECONDS = 60.0
_TRANSIENT_STATUSES = (408, 409, 425, 429)
_TOO_LARGE_STATUSES = (400, 413, 422)
# What is relied on of openai's library and of its transport; tests/assumptions/test_openai.py
# provokes each.
_UNREACHABLE_ERRORS = {"ConnectError", "ConnectTimeout", "gaierror", "SSLError"}
"""Names of the errors behind one of openai's where no connection was made."""
_CONNECT_TIMEOUT = "ConnectTimeout"
_TRANSPORT = ("httpx2", "httpcore2", "ssl")
"""Packages whose errors come unwrapped where an answer breaks off in its body."""
_HEADERS_VARIABLE = "OPENAI_CUSTOM_HEADERS"
_OWN_HEADERS = (
    "OpenAI-Organization", "OpenAI-Project", "X-Stainless-Lang", "X-Stainless-Package-Version",
    "X-Stainless-OS", "X-Stainless-Arch", "X-Stainless-Runtime", "X-Stainless-Runtime-Version",
    "X-Stainless-Async",
)  # fmt: skip
"""Headers by which the openai library would reveal this machine and other accounts."""


class Client:
    """A connection to a provider through the openai library, with the library's own retries off."""

    def __init__(self, spec: ModelSpec, remote: RemoteSpec, key: str | None, *, here: bool) -> None:
        """Prepare; nothing is connected yet.

        Args:
            spec: the model.
            remote: its address and limits.
            key: the API key; None if none is needed.
            here: whether the address is this machine, for which no proxy is used.
        """
        import httpx2
        import openai

        self._openai: Any = openai
        self._spec = spec
        self._remote = remote
        self._key = key
        self._encoding = "base64"
        self.host = urlsplit(remote.base_url).netloc
        self.here = here
        self._connect_seconds = min(_CONNECT_SECONDS, remote.timeout_seconds / 2)
        max_connections = remote.max_concurrency
        transport = openai.DefaultAsyncHttpxClient(
            follow_redirects=False,  # text goes to the named host and to no other
            trust_env=not here,
            limits=httpx2.Limits(
                max_connections=max_connections, max_keepalive_connections=max_connections
            ),
        )
        with _without_variable(_HEADERS_VARIABLE):
            self._client = openai.AsyncOpenAI(
                api_key=key or "none",
                base_url=remote.base_url,
                max_retries=0,
                timeout=httpx2.Timeout(remote.timeout_seconds, connect=self._connect_seconds),
                default_headers={name: openai.Omit() for name in _OWN_HEADERS},
                http_client=transport,
            )

    async def embed(self, texts: Sequence[str], on_headers: OnHeaders) -> Reply:
        """Return the vectors of texts.

        Args:
            texts: exactly what the model reads, none empty.
            on_headers: called with the headers of every response, errors included.

        Raises:
            TransientError: a retry may succeed.
            RequestTooLargeError: the provider rejects these texts, or all of them together.
            RemoteModelError: no request to this provider can succeed.
            OfflineError: it is no longer on this machine, and the network is not allowed.
        """
        openai = self._openai
        try:
            async with asyncio.timeout(self._remote.timeout_seconds):
                body = await self._body(texts, on_headers)
        except openai.APIStatusError as error:
            on_headers(error.response.headers)
            self._raise_status(error)
        except (TimeoutError, openai.APITimeoutError) as error:
            if _CONNECT_TIMEOUT in _names(error):
                raise UnreachableError(f"no connection in {self._connect_seconds:g} s") from None
            reason = f"no answer in {self._remote.timeout_seconds:g} s"
            if len(texts) > 1:
                raise RequestTooLargeError(reason) from None
            raise TransientError(reason) from None
        except openai.APIConnectionError as error:
            _raise_refusal(error)
            raise _connection_fault(error) from None
        except openai.OpenAIError as error:
            raise TransientError(f"no answer: {_cause(error)}") from None
        except Exception as error:
            _raise_refusal(error)
            # A connection lost in the middle of a body is an error of the library's transport.
            if type(error).__module__.partition(".")[0] not in _TRANSPORT:
                raise
            raise TransientError(f"an incomplete answer: {_cause(error)}") from None
        return read_reply(self._without_key(body), len(texts), self._spec.dim, self._remote)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _body(self, texts: Sequence[str], on_headers: OnHeaders) -> bytes:
        max_bytes = largest_reply(len(texts), self._spec.dim)
        dimensions = self._spec.dim if self._spec.whole_dim else self._openai.omit
        body = bytearray()
        async with self._client.embeddings.with_streaming_response.create(
            model=self._remote.model,
            input=list(texts),
            encoding_format=self._encoding,
            dimensions=dimensions,
        ) as response:
            async for part in response.iter_bytes():
                body += part
                if len(body) > max_bytes:
                    raise TransientError(f"an answer of more than {max_bytes >> 20} MB")
            on_headers(response.headers)
        return bytes(body)

    def _raise_status(self, error: Any) -> NoReturn:  # noqa: ANN401 - openai's, which is lazy
        """Raise the error for a status."""
        status = int(error.status_code)
        reason = f"status {status}: {self._message(error)}"
        if status == 429 and "insufficient_quota" in (error.code, error.type):
            raise RemoteModelError(
                f"{self.host} refuses: {reason}. Your account has no quota left."
            )
        if status in _TRANSIENT_STATUSES or status >= 500:
            wait = retry_after(error.response.headers)
            if wait >= _LONG_WAIT_SECONDS:
                reason += f" (it asks to wait {wait:,.0f} s)"
            busy = status in (429, 503)
            raise TransientError(reason, wait=wait, slow_down=busy, limited=status == 429)
        if status in _TOO_LARGE_STATUSES:
            if "encoding_format" in reason and self._encoding == "base64":
                self._encoding = "float"
                raise TransientError(reason)
            raise RequestTooLargeError(reason)
        raise RemoteModelError(f"{self.host} refuses: {reason}. {_what_to_do(status)}")

    def _message(self, error: Any) -> str:  # noqa: ANN401 - openai's, which is lazy
        """Return the provider's message in one line, without the key."""
        body = error.body if isinstance(error.body, dict) else {}
        text = body.get("message") or body.get("detail") or error.response.text or "no message"
        without_key = self._without_key(str(text).encode("utf-8", "replace")).decode()
        return " ".join(without_key.split())[:200]

    def _without_key(self, body: bytes) -> bytes:
        """Mask the key in a response, before any of it is truncated or shown."""
        return body.replace(self._key.encode(), b"***") if self._key else body


@contextmanager
def _without_variable(name: str) -> Iterator[None]:
    """Hide a variable with other providers' headers and keys from the library."""
    held = os.environ.pop(name, None)
    try:
        yield
    finally:
        if held is not None:
            os.environ[name] = held


def _what_to_do(status: int) -> str:
    if status in (401, 403):
        return "Check that the key is right and may use this model."
    if status == 404:
        return "Check base_url and model in models.toml."
    if 300 <= status < 400:
        return "It redirects; set base_url in models.toml to the address that it names."
    return "Check base_url and model in models.toml."


def _raise_refusal(error: BaseException) -> None:
    """Raise what the guard said, if it refused an address.

    Raises:
        OfflineError: it did.
    """
    for cause in _causes(error):
        if isinstance(cause, OfflineError):
            raise cause from None


def _connection_fault(error: BaseException) -> TransientError:
    """Return the error for a connection that failed or was lost."""
    if _names(error) & _UNREACHABLE_ERRORS:
        return UnreachableError(f"no connection: {_cause(error)}")
    return TransientError(f"the connection was lost: {_cause(error)}")


def _names(error: BaseException) -> set[str]:
    """Return the class names of an error and of all its causes."""
    return {type(cause).__name__ for cause in _causes(error)}


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and all its causes, also those that were raised together."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        if isinstance(cause, BaseExceptionGroup):
            for one in cause.exceptions:
                yield from _causes(one)
        cause = cause.__cause__ or cause.__context__


def _cause(error: BaseException) -> str:
    """Return the message of an error's root cause."""
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(error).split())[:200] or type(error).__name__
