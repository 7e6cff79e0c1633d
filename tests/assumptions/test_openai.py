"""openai's library and the transport below it: `localembed/embedding/remote/client.py`."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from threading import Thread

import pytest

from localembed.embedding.remote import client

openai = pytest.importorskip("openai", reason="the extra [openai] is not installed")
httpx2 = pytest.importorskip("httpx2")


@pytest.fixture
def raised(server):
    """Return the error of one request, with the library set up as the client does it."""

    def ask(url=None, *, timeout=5.0, connect=5.0, **keys):
        async def request():
            async with library(url or server.url, timeout, connect) as made:
                create = made.embeddings.with_streaming_response.create
                async with create(model="test-model", input=["a"], **keys) as response:
                    return b"".join([part async for part in response.iter_bytes()])

        try:
            asyncio.run(request())
        except Exception as error:  # noqa: BLE001 - whatever it is
            return error
        return None

    return ask


@asynccontextmanager
async def library(url, timeout=5.0, connect=5.0, **keys):
    made = openai.AsyncOpenAI(
        api_key="none",
        base_url=url,
        max_retries=0,
        timeout=httpx2.Timeout(timeout, connect=connect),
        http_client=openai.DefaultAsyncHttpxClient(follow_redirects=False, trust_env=False),
        **keys,
    )
    try:
        yield made
    finally:
        await made.close()


def fault(server, name) -> None:
    server.fault_of = lambda *_: name


@pytest.mark.parametrize("status", ["400", "401", "404", "429", "500"])
def test_a_status_is_an_error_with_these_attributes(raised, server, status):
    fault(server, status)
    error = raised()
    assert isinstance(error, openai.APIStatusError)
    assert error.status_code == int(status)
    assert "content-type" in error.response.headers
    assert isinstance(error.response.text, str)
    assert error.body is None or isinstance(error.body, dict | str)
    assert error.code is None or isinstance(error.code, str)
    assert error.type is None or isinstance(error.type, str)


def test_a_provider_names_the_quota_in_the_code_or_the_type(raised, server):
    fault(server, "429 quota")
    error = raised()
    assert "insufficient_quota" in (error.code, error.type)
    assert isinstance(error.body["message"], str), "the object below 'error', not the whole answer"


def test_a_late_answer_is_a_timeout_and_no_plain_connection_error(raised, server):
    fault(server, "stall")
    error = raised(timeout=0.2)
    assert isinstance(error, openai.APITimeoutError)
    assert client._CONNECT_TIMEOUT not in client._names(error)


def test_a_connection_that_takes_too_long_has_an_error_of_that_name_behind_it(raised):
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        waiting = [socket.socket() for _ in range(3)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(address)
        error = raised(f"http://127.0.0.1:{address[1]}/v1", connect=0.3)
        for each in waiting:
            each.close()
    assert isinstance(error, openai.APITimeoutError)
    assert client._CONNECT_TIMEOUT in client._names(error)


def refused() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/v1"


def test_a_host_that_refuses_has_an_error_of_a_known_name_behind_it(raised):
    error = raised(refused())
    assert isinstance(error, openai.APIConnectionError)
    assert "ConnectError" in client._names(error) & client._UNREACHABLE_ERRORS


def test_a_host_without_an_address_has_an_error_of_a_known_name_behind_it(raised):
    error = raised("http://no-such-host.invalid/v1")
    assert isinstance(error, openai.APIConnectionError)
    assert "gaierror" in client._names(error) & client._UNREACHABLE_ERRORS


def test_a_host_that_speaks_no_tls_has_an_error_of_a_known_name_behind_it(raised):
    def answer(listening) -> None:
        connection, _ = listening.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 400 Plain text only\r\n\r\n")

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        thread = Thread(target=answer, args=(listening,))
        thread.start()
        error = raised(f"https://127.0.0.1:{listening.getsockname()[1]}/v1")
        thread.join()
    assert isinstance(error, openai.APIConnectionError)
    assert {"ConnectError", "SSLError"} <= client._names(error) & client._UNREACHABLE_ERRORS


def test_an_answer_that_breaks_off_is_an_error_of_the_transport(raised, server):
    fault(server, "cut")
    error = raised()
    assert not isinstance(error, openai.OpenAIError)
    assert type(error).__module__.partition(".")[0] in client._TRANSPORT


def test_the_errors_are_ordered_as_the_client_catches_them():
    assert issubclass(openai.APITimeoutError, openai.APIConnectionError)
    assert not issubclass(openai.APIStatusError, openai.APIConnectionError)
    assert issubclass(openai.APIConnectionError, openai.OpenAIError)
    assert issubclass(openai.APIStatusError, openai.OpenAIError)


def test_headers_are_left_out_that_the_library_would_send(server, monkeypatch):
    monkeypatch.setenv("OPENAI_ORG_ID", "an organization")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "a project")
    monkeypatch.setenv(client._HEADERS_VARIABLE, "X-Key: of another host")

    async def ask(**keys) -> set[str]:
        async with library(server.url, **keys) as made:
            await made.embeddings.create(model="test-model", input=["a"])
        return {name.lower() for name in server.requests[-1].headers}

    plain = asyncio.run(ask())
    own = {name.lower() for name in client._OWN_HEADERS}
    assert own <= plain
    assert "x-key" in plain, "read from the variable when the library is set up"
    left = asyncio.run(ask(default_headers=dict.fromkeys(client._OWN_HEADERS, openai.Omit())))
    assert not left & own
    rest = {name for name in left if name.startswith(("x-stainless", "openai-"))}
    assert rest <= {"x-stainless-read-timeout", "x-stainless-retry-count"}, "nothing of a machine"
