"""One request to a server that speaks OpenAI's protocol, and what its errors mean."""

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
_LONG = 60.0
_PASSING = (408, 409, 425, 429)
_TOO_MUCH = (400, 413, 422)
_NOBODY_THERE = {"ConnectError", "ConnectTimeout", "gaierror", "SSLError"}
_OWN_HEADERS = (
    "OpenAI-Organization", "OpenAI-Project", "X-Stainless-Lang", "X-Stainless-Package-Version",
    "X-Stainless-OS", "X-Stainless-Arch", "X-Stainless-Runtime", "X-Stainless-Runtime-Version",
    "X-Stainless-Async",
)  # fmt: skip
"""What the client library would tell of this machine and of another account."""


class Client:
    """A server, asked through the openai library with the library's own retries off."""

    def __init__(self, spec: ModelSpec, remote: RemoteSpec, key: str | None, *, here: bool) -> None:
        """Prepare; nothing is connected yet.

        Args:
            spec: which model.
            remote: where, and how much at once.
            key: of the server; None if it needs none.
            here: whether the server is this machine, which no proxy is asked for.
        """
        import httpx2
        import openai

        self._openai: Any = openai
        self._spec = spec
        self._remote = remote
        self._key = key
        self._encoding = "base64"
        self.host = urlsplit(remote.base_url).netloc
        self._connect_seconds = min(_CONNECT_SECONDS, remote.timeout_seconds / 2)
        most = remote.max_concurrency
        transport = openai.DefaultAsyncHttpxClient(
            follow_redirects=False,  # text goes to the host that was named, and to no other
            trust_env=not here,
            limits=httpx2.Limits(max_connections=most, max_keepalive_connections=most),
        )
        with _without_variable("OPENAI_CUSTOM_HEADERS"):
            self._client = openai.AsyncOpenAI(
                api_key=key or "none",
                base_url=remote.base_url,
                max_retries=0,
                timeout=httpx2.Timeout(remote.timeout_seconds, connect=self._connect_seconds),
                default_headers={name: openai.Omit() for name in _OWN_HEADERS},
                http_client=transport,
            )

    async def ask(self, texts: Sequence[str], on_headers: OnHeaders) -> Reply:
        """Return the vectors of texts.

        Args:
            texts: as the model shall read them, none empty.
            on_headers: told of the headers of every answer, also of an error.

        Raises:
            TransientError: it may go well the next time.
            RequestTooLargeError: the server does not take these texts, or not together.
            RemoteModelError: no request to this server can go well.
        """
        openai = self._openai
        try:
            async with asyncio.timeout(self._remote.timeout_seconds):
                body = await self._body(texts, on_headers)
        except openai.APIStatusError as error:
            on_headers(error.response.headers)
            self._raise_status(error)
        except (TimeoutError, openai.APITimeoutError) as error:
            if "ConnectTimeout" in _names(error):
                raise UnreachableError(f"no connection in {self._connect_seconds:g} s") from None
            reason = f"no answer in {self._remote.timeout_seconds:g} s"
            if len(texts) > 1:
                raise RequestTooLargeError(reason) from None
            raise TransientError(reason) from None
        except openai.APIConnectionError as error:
            raise _connection_fault(error) from None
        except openai.OpenAIError as error:
            raise TransientError(f"no answer: {_cause(error)}") from None
        except Exception as error:
            # What breaks off in the middle of a body is an error of the library's own transport.
            if type(error).__module__.partition(".")[0] not in ("httpx2", "httpcore2", "ssl"):
                raise
            raise TransientError(f"an answer that broke off: {_cause(error)}") from None
        return read_reply(self._without_key(body), len(texts), self._spec.dim, self._remote)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _body(self, texts: Sequence[str], on_headers: OnHeaders) -> bytes:
        most = largest_reply(len(texts), self._spec.dim)
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
                if len(body) > most:
                    raise TransientError(f"an answer of more than {most >> 20} MB")
            on_headers(response.headers)
        return bytes(body)

    def _raise_status(self, error: Any) -> NoReturn:  # noqa: ANN401 - openai's, which is lazy
        """Raise what a status means."""
        status = int(error.status_code)
        reason = f"status {status}: {self._message(error)}"
        if status == 429 and "insufficient_quota" in (error.code, error.type):
            raise RemoteModelError(
                f"{self.host} refuses: {reason}. Your account has no more quota."
            )
        if status in _PASSING or status >= 500:
            wait = retry_after(error.response.headers)
            if wait >= _LONG:
                reason += f" (it asks to wait {wait:,.0f} s)"
            busy = status in (429, 503)
            raise TransientError(reason, wait=wait, slow_down=busy, limited=status == 429)
        if status in _TOO_MUCH:
            if "encoding_format" in reason and self._encoding == "base64":
                self._encoding = "float"
                raise TransientError(reason)
            raise RequestTooLargeError(reason)
        raise RemoteModelError(f"{self.host} refuses: {reason}. {_what_to_do(status)}")

    def _message(self, error: Any) -> str:  # noqa: ANN401 - openai's, which is lazy
        """Return what the server said, in a line, without the key."""
        body = error.body if isinstance(error.body, dict) else {}
        said = body.get("message") or body.get("detail") or error.response.text or "nothing said"
        whole = self._without_key(str(said).encode("utf-8", "replace")).decode()
        return " ".join(whole.split())[:200]

    def _without_key(self, said: bytes) -> bytes:
        """Take the key out of what a server said, before any of it is cut or shown."""
        return said.replace(self._key.encode(), b"***") if self._key else said


@contextmanager
def _without_variable(name: str) -> Iterator[None]:
    """Hide a variable from the library: other servers' headers and keys stand in it."""
    held = os.environ.pop(name, None)
    try:
        yield
    finally:
        if held is not None:
            os.environ[name] = held


def _what_to_do(status: int) -> str:
    if status in (401, 403):
        return "Look whether the key is right, and whether it may use this model."
    if status == 404:
        return "Look whether base_url and model in models.toml are right."
    if 300 <= status < 400:
        return "It sends elsewhere; put the address that it names into base_url in models.toml."
    return "Look at base_url and model in models.toml."


def _connection_fault(error: BaseException) -> TransientError:
    """Return what an error of the connection means: nobody there, or broken off."""
    if _names(error) & _NOBODY_THERE:
        return UnreachableError(f"no connection: {_cause(error)}")
    return TransientError(f"the connection broke off: {_cause(error)}")


def _names(error: BaseException) -> set[str]:
    """Return the kinds of an error and of all that lies behind it."""
    names = set()
    cause: BaseException | None = error
    while cause is not None:
        names.add(type(cause).__name__)
        cause = cause.__cause__ or cause.__context__
    return names


def _cause(error: BaseException) -> str:
    """Return what lies behind an error, in words."""
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(error).split())[:200] or type(error).__name__
