"""Hostile providers, folders and environments, and what must not reach them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

import localembed
from localembed.core import offline
from localembed.embedding import load_embedder
from localembed.embedding.options import RemoteOptions
from localembed.errors import CostLimitError, RegistryError, RemoteModelError, UsageError
from localembed.models.blocks import checked_spec
from localembed.types.models import ModelInput
from tests.conftest import PROJECT, paragraphs
from tests.openai_server import FAULTS, _status, spec_of
from tests.test_remote import embedder_of, inputs

KEY = "sk-proj-" + "AbCd" * 10


def echo(monkeypatch, server, name, answer, status=200):
    """Let the provider echo the key of the request."""

    async def say(running, request, writer):
        body = json.loads(json.dumps(answer).replace("KEY", request.headers["authorization"]))
        return await running.answer(writer, request, body, status=status)

    monkeypatch.setitem(FAULTS, name, say)
    server.fault_of = lambda *_: name


ECHOES = {
    "error in 200": ({"error": {"message": "bad KEY"}}, 200),
    "model": ({"data": [], "model": "KEY"}, 200),
    "no data": ({"detail": "x" * 110 + " KEY"}, 200),
    "at the cut": ({"error": {"message": "x" * 170 + " KEY y"}}, 401),
    "server error": ({"error": {"message": "KEY"}}, 500),
}


@pytest.mark.parametrize(("answer", "status"), ECHOES.values(), ids=ECHOES.keys())
def test_an_echoed_key_is_never_shown(server, monkeypatch, answer, status):
    monkeypatch.setenv("MY_KEY", KEY)
    echo(monkeypatch, server, "echo", answer, status)
    with pytest.raises(RemoteModelError) as caught:
        embedder_of(server, api_key_env="MY_KEY", max_tries=1).embed_documents(inputs(12))
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert "sk-proj" not in str(caught.value)


def test_headers_for_other_providers_are_not_sent(server, monkeypatch):
    monkeypatch.setenv(
        "OPENAI_CUSTOM_HEADERS", "Authorization: Bearer corp-gateway\nHelicone-Auth: sk-helicone"
    )
    embedder_of(server).embed_documents(inputs(1))
    assert "corp-gateway" not in str(server.requests[0].headers)
    assert "sk-helicone" not in str(server.requests[0].headers)
    assert "corp-gateway" in os.environ["OPENAI_CUSTOM_HEADERS"]


@pytest.mark.parametrize("host", ["127.0.0.1%x.evil.example", "localhost%1", "1270.0.0.1"])
def test_a_name_that_looks_like_this_machine_is_another(host):
    assert not offline.is_here(host)
    assert offline.is_here("::1%lo")


@pytest.mark.parametrize(
    "address",
    ["http://127.0.0.1:abc/v1", "http://127.0.0.1:99999/v1", "http://127.0.0.1:0/v1",
     "http://[::1/v1", "http://[evil]/v1", "http://:7801/v1", "http://127.0.0.1%x.evil.example/v1"],
)  # fmt: skip
def test_an_invalid_address_is_refused_when_it_is_read(address):
    block = {"backend": "openai", "base_url": address, "model": "m", "dim": 3, "max_tokens": 100}
    with pytest.raises(RegistryError, match="base_url must be an address"):
        checked_spec("here", "m", block)


@pytest.mark.parametrize(
    ("key", "value"),
    [("max_concurrency", 0.5), ("max_inputs", 2.5), ("max_tries", 0.5), ("max_concurrency", True),
     ("usd_per_million_tokens", float("inf")), ("timeout_seconds", float("nan"))],
)  # fmt: skip
def test_an_impossible_number_is_refused_when_it_is_read(key, value):
    block = {
        "backend": "openai", "base_url": "http://127.0.0.1:9/v1", "model": "m", "dim": 3,
        "max_tokens": 100, key: value,
    }  # fmt: skip
    with pytest.raises(RegistryError, match=f"{key} must be a positive"):
        checked_spec("here", "m", block)


@pytest.mark.parametrize("proxy", ["foo://127.0.0.1:9", "socks5://127.0.0.1:9"])
def test_an_unusable_proxy_is_reported(monkeypatch, proxy):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy)
    with pytest.raises(UsageError, match="The proxy named by the environment"):
        load_embedder(
            spec_of("http://192.0.2.1/v1"), PROJECT, remote=RemoteOptions(allow_network=True)
        )


def changed(change):
    async def say(running, request, writer):
        body = running.good(request)
        change(body)
        return await running.answer(writer, request, body)

    return say


def test_numbers_too_large_for_a_float_are_no_answer(server, monkeypatch):
    def enormous(body):
        body["data"][0]["embedding"] = [10**400] * 16

    monkeypatch.setitem(FAULTS, "enormous", changed(enormous))
    server.faults.append("enormous")
    assert embedder_of(server).embed_documents(inputs(1)).failures == {}
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "fault",
    ["quoted", "one quoted", "booleans", "one null", "nested", "wrapped", "words", "null", "nan",
     "inf", "base64 cut", "base64 nan", "base64 words"],
)  # fmt: skip
def test_what_is_no_vector_is_never_stored(server, fault):
    """Strings, booleans and lists are no numbers, though NumPy takes them for some."""
    server.fault_of = lambda _, texts: fault if "odd" in texts[0] else None
    embedder = embedder_of(server, max_tries=1, max_inputs=1)

    made = embedder.embed_documents(
        [ModelInput(text, np.zeros(2, np.int32), text.encode()) for text in ("plain", "odd")]
    )

    assert list(made.failures) == [1]
    assert "vector" in made.failures[1]
    assert np.isnan(made.vectors[1]).all()


def test_an_implausible_bill_is_ignored(server, monkeypatch):
    monkeypatch.setitem(
        FAULTS, "bill", changed(lambda body: body.update(usage={"total_tokens": 10**400}))
    )
    server.faults.append("bill")
    embedder = embedder_of(server, usd_per_million_tokens=1.0)
    embedder.embed_documents(inputs(1))
    assert embedder.use.remote.usd < 1


def test_the_cost_of_an_unusable_answer_is_counted(server):
    server.faults += ["fewer", "nan", "500"]
    embedder = embedder_of(server, usd_per_million_tokens=1.0, max_tries=5)
    assert embedder.embed_documents(inputs(3)).failures == {}
    fewer, nan, _refused, good = (request.tokens for request in server.requests)
    assert embedder.use.remote.tokens_billed == fewer + nan + good


def test_a_provider_that_overcharges_is_stopped_near_the_limit(server, monkeypatch):
    def dear(body):
        body["usage"] = {"total_tokens": 10 * body["usage"]["total_tokens"]}

    monkeypatch.setitem(FAULTS, "dear", changed(dear))
    server.fault_of = lambda *_: "dear"
    server.delay = 0.05
    embedder = embedder_of(server, max_inputs=1, usd_per_million_tokens=1000.0, max_cost=8.0)
    with pytest.raises(CostLimitError) as caught:
        embedder.embed_documents(inputs(200))
    spent = sum(10 * request.tokens for request in server.requests) / 1000
    assert 6 < spent <= 8
    assert f"${spent:,.4f}" in str(caught.value)


def test_a_file_of_rejected_texts_does_not_stop_the_run(known, server, notes):
    known(max_inputs=8)
    (notes / "good.md").write_text(paragraphs(4, "good"))
    (notes / "bad.md").write_text(paragraphs(60, "bad"))
    server.fault_of = lambda _number, texts: "400" if any("badword" in t for t in texts) else None
    workspace = localembed.Workspace(notes.parent / "ws", {"model": "remote"})
    for retry in (False, True):
        report = workspace.index([notes], retry_failed=retry)
        assert report.chunks.failed >= 20
        assert report.chunks.failed == report.chunks.total - 8
    assert workspace.status().files == 2


_SAYS_THAT_IT_WAITS = """
import sys
from localembed.__main__ import main
from localembed.embedding.remote import embedder
from localembed.embedding.remote.pacing import Pace

embedder._LAST_SECONDS = 3600
_wait = Pace._wait

def wait(pace, tokens):
    seconds = _wait(pace, tokens)
    if seconds > 3000:
        print("told to wait", file=sys.stderr, flush=True)
        Pace._wait = _wait
    return seconds

Pace._wait = wait
main()
"""


def test_ctrl_c_during_a_requested_wait_ends_the_run_at_once(
    known, server, notes, tmp_path, monkeypatch
):
    (notes / "a.md").write_text(paragraphs(4))
    known(patience_seconds=7200)
    monkeypatch.setitem(FAULTS, "429 long", _status(429, retry_after=lambda: "3600"))
    server.fault_of = lambda *_: "429 long"
    run = subprocess.Popen(
        [sys.executable, "-c", _SAYS_THAT_IT_WAITS, "index", notes, "--model", "remote", "-q"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(PROJECT)}, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert run.stderr is not None
    assert run.stderr.readline() == b"told to wait\n"
    run.send_signal(signal.SIGINT)
    _, said = run.communicate(timeout=60)
    assert run.returncode == 130, said


def test_escape_sequences_of_a_provider_do_not_reach_the_terminal(
    known, server, notes, run_cli, real_cli
):
    (notes / "a.md").write_text(paragraphs(1))
    known()

    async def colourful(running, request, writer):
        body = {"error": {"message": "\x1b[31mred\x1b]0;owned\x07"}}
        return await running.answer(writer, request, body, status=400)

    FAULTS["colourful"] = colourful
    try:
        server.fault_of = lambda _n, texts: None if texts == ["text"] else "colourful"
        run = real_cli("index", notes, "--model", "remote")
    finally:
        del FAULTS["colourful"]
    assert run.returncode == 3, run.stderr
    assert "red" in run.stdout
    assert "\x1b" not in run.stdout + run.stderr


def test_a_query_without_a_vector_names_the_alternative(known, server, notes, real_cli):
    (notes / "a.md").write_text(paragraphs(1))
    known(max_tries=1, patience_seconds=1)
    assert real_cli("index", notes, "--model", "remote").returncode == 0
    server.fault_of = lambda *_: "503"
    query = real_cli("query", "words", "--mode", "vector")
    assert query.returncode == 4
    assert "--mode text" in query.stderr
    assert "run the same command again" not in query.stderr
