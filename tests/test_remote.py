"""Remote models: every fault of a provider, and nothing paid for twice."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import localembed
from localembed.embedding import load_embedder, load_tokenizer
from localembed.embedding.options import LoadContext, RemoteOptions
from localembed.embedding.remote.requests import make_requests
from localembed.errors import (
    CostLimitError,
    LocalembedError,
    ModelNotFoundError,
    OfflineError,
    RegistryError,
    RemoteModelError,
    UsageError,
)
from localembed.types import limits
from localembed.types.models import ModelInput, RemoteSpec
from tests.conftest import current_table, paragraphs
from tests.openai_server import DIM, FAULTS, Limits, OpenAIServer, spec_of, vector
from tests.registry import write_registry
from tests.sweeps import sampled

pytest.importorskip("openai", reason="the extra [openai] is not installed")


def embedder_of(server, *, context=None, allow_network=False, max_cost=None, **keys):
    remote = RemoteOptions(allow_network=allow_network, max_cost=max_cost)
    context = context or LoadContext()
    spec = spec_of(server, **keys)
    return load_embedder(spec, Path("/nonexistent"), remote=remote, context=context)


def inputs(count, words=20):
    return [
        ModelInput(
            f"text {n} {'word ' * words}", np.zeros(words + 2, np.int32), n.to_bytes(16, "big")
        )
        for n in range(count)
    ]


def expected(items, dim=DIM):
    return np.stack([vector(item.text, dim) for item in items])


FATAL = {
    "401": "Check that the key is right",
    "403": "Check that the key is right",
    "404": "Check base_url and model",
    "302": "It redirects",
    "429 quota": "no quota left",
    "429 huge": "asks to wait 86,400 s",
}
SLOW = {"stall", "drip"}


@pytest.mark.parametrize("fault", sorted(FAULTS.keys() - FATAL.keys() - SLOW))
def test_a_transient_fault_changes_nothing(server, fault):
    server.faults.append(fault)
    items = inputs(9)
    made = embedder_of(server).embed_documents(items)
    assert made.failures == {}
    np.testing.assert_allclose(made.vectors, expected(items), atol=1e-6)
    assert len(server.requests) > 1 or fault == "reordered"


@pytest.mark.parametrize("fault", sorted(SLOW))
def test_requests_that_take_too_long_are_split_in_halves(server, fault, monkeypatch):
    """The time for an answer is over as soon as the server has begun not to give it."""
    limits = []

    def timeout(seconds):
        assert seconds == 3600
        limit = asyncio.timeout(seconds)
        limits.append((asyncio.get_running_loop(), limit))
        return limit

    def expire():
        loop, limit = limits[0]
        loop.call_soon_threadsafe(limit.reschedule, loop.time())

    monkeypatch.setattr(
        "localembed.embedding.remote.client.asyncio",
        SimpleNamespace(**{**vars(asyncio), "timeout": timeout}),
    )
    server.on_slow = expire
    server.faults.append(fault)
    items = inputs(4)
    made = embedder_of(server, timeout_seconds=3600).embed_documents(items)
    np.testing.assert_allclose(made.vectors, expected(items), atol=1e-6)
    assert [len(request.texts) for request in server.requests] == [4, 2, 2]


@pytest.mark.parametrize("fault", sorted(FATAL))
def test_a_refusal_ends_the_run_at_once(server, fault):
    server.faults.append(fault)
    with pytest.raises(RemoteModelError, match=FATAL[fault]):
        embedder_of(server).embed_documents(inputs(3))
    assert len(server.requests) == 1


@pytest.mark.parametrize("fault", sampled(["400", "413", "500", "nan", "zero", "cut"], 2))
def test_a_single_faulty_text_is_reported_and_the_rest_is_embedded(server, fault):
    items = inputs(32)
    bad = items[17].text
    server.fault_of = lambda _number, texts: fault if bad in texts else None
    made = embedder_of(server).embed_documents(items)
    assert list(made.failures) == [17]
    assert made.failures[17]
    good = [n for n in range(32) if n != 17]
    np.testing.assert_allclose(made.vectors[good], expected(items)[good], atol=1e-6)
    assert np.isnan(made.vectors[17]).all()


@pytest.mark.parametrize("fault", ["500", "html", "400", "nan"])
def test_an_unusable_provider_is_given_up_soon(server, fault):
    server.fault_of = lambda *_: fault
    with pytest.raises(RemoteModelError, match=r"gave no usable answer.*the same command again"):
        embedder_of(server, max_tries=2).embed_documents(inputs(400))
    assert len(server.requests) < 400


@pytest.mark.parametrize(("fault", "message"), [("other model", "answers_as"), ("other dim", "16")])
def test_another_model_is_no_reason_for_smaller_requests(server, fault, message):
    server.fault_of = lambda *_: fault
    with pytest.raises(RemoteModelError, match=message):
        embedder_of(server, max_tries=2).embed_documents(inputs(8))
    assert {len(request.texts) for request in server.requests} == {8}


def test_a_provider_may_answer_under_a_configured_name(server):
    server.model = "another-model"
    made = embedder_of(server, answers_as="another-model").embed_documents(inputs(2))
    assert made.failures == {}


def test_an_unreachable_address_is_reported():
    with pytest.raises(RemoteModelError, match="no connection"):
        embedder_of("http://127.0.0.1:9/v1", max_tries=2).embed_documents(inputs(1))


def test_an_unknown_host_name_is_reported():
    with pytest.raises(RemoteModelError, match="no connection"):
        embedder_of("http://nobody.invalid/v1", max_tries=1, allow_network=True).embed_documents(
            inputs(1)
        )


def test_missing_tls_is_reported(server):
    with pytest.raises(RemoteModelError, match="no connection"):
        embedder_of(server.url.replace("http:", "https:"), max_tries=2).embed_documents(inputs(1))


def test_plain_numbers_are_as_good_as_base64(server):
    server.answers_base64 = False
    items = inputs(5)
    made = embedder_of(server).embed_documents(items)
    np.testing.assert_allclose(made.vectors, expected(items), atol=1e-6)


def test_a_provider_without_base64_is_requested_to_send_numbers(server):
    server.fault_of = lambda number, _: "encoding" if number == 1 else None
    embedder = embedder_of(server)
    embedder.embed_documents(inputs(2))
    embedder.embed_documents(inputs(2))
    formats = [request.body["encoding_format"] for request in server.requests]
    assert formats == ["base64", "float", "float"]


def test_requests_are_limited_by_inputs_tokens_and_bytes():
    remote = RemoteSpec("http://x/v1", "m", max_inputs=10, max_request_tokens=100)
    parts = make_requests(inputs(25, words=3), remote)
    assert [len(part.rows) for part in parts] == [10, 10, 5]
    parts = make_requests(inputs(25, words=28), remote)
    assert {part.tokens for part in parts} == {90, 30}
    by_bytes = replace(remote, max_request_bytes=250)
    assert {len(part.rows) for part in make_requests(inputs(8, words=20), by_bytes)} == {2}
    alone = make_requests(inputs(2, words=200), remote)
    assert [part.rows for part in alone] == [(0,), (1,)]
    assert [row for part in parts for row in part.rows] == list(range(25))


def test_only_what_is_needed_is_sent(server, monkeypatch):
    monkeypatch.setenv("OPENAI_ORG_ID", "my-organisation")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-for-you")
    embedder_of(server).embed_documents(inputs(1))
    sent = json.dumps([server.requests[0].headers, server.requests[0].body])
    assert "my-organisation" not in sent
    assert "sk-not-for-you" not in sent
    assert "linux" not in sent.lower()
    assert set(server.requests[0].body) == {"input", "model", "encoding_format"}


def test_a_key_is_sent_and_never_shown(server, monkeypatch):
    monkeypatch.setenv("MY_KEY", "sk-very-secret")
    server.fault_of = lambda *_: "401"
    FAULTS_SAY = {"error": {"message": "wrong key sk-very-secret"}}

    async def refuse(running, request, writer):
        return await running.answer(writer, request, FAULTS_SAY, status=401)

    monkeypatch.setitem(FAULTS, "401", refuse)
    with pytest.raises(RemoteModelError) as caught:
        embedder_of(server, api_key_env="MY_KEY").embed_documents(inputs(1))
    assert server.requests[0].headers["authorization"] == "Bearer sk-very-secret"
    assert "sk-very-secret" not in str(caught.value)
    assert "***" in str(caught.value)


def test_a_missing_key_is_reported(server):
    with pytest.raises(RemoteModelError, match="variable NO_SUCH_KEY, or into the keyring"):
        embedder_of(server, api_key_env="NO_SUCH_KEY")


@pytest.mark.parametrize("key", ["sk-one\nsk-two", "sk-ключ", "sk one", "sk\x7f"])
def test_a_key_that_cannot_be_sent_is_not_shown_either(server, monkeypatch, key):
    monkeypatch.setenv("MY_KEY", key)
    with pytest.raises(RemoteModelError, match=r"The key for .* contains a space") as caught:
        embedder_of(server, api_key_env="MY_KEY").embed_documents(inputs(1))
    assert "sk" not in str(caught.value)
    assert server.requests == []


def test_no_proxy_is_used_for_this_machine(server, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert embedder_of(server).embed_documents(inputs(1)).failures == {}


def test_another_machine_needs_permission(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
    with pytest.raises(OfflineError, match=r"is at api\.openai\.com.*--allow-network"):
        embedder_of("https://api.openai.com/v1")


def test_only_the_thread_that_sends_requests_may_connect(server):
    import socket

    from localembed.core.offline import guard

    guard.start()
    try:
        assert embedder_of(server).embed_documents(inputs(1)).failures == {}
        with pytest.raises(OfflineError):
            socket.create_connection(("198.51.100.1", 80), timeout=1)
    finally:
        guard._watching = False


def test_a_name_that_moves_after_the_permission_gets_nothing(server, monkeypatch):
    """The name is this machine when permission is given, and another one when it is connected."""
    import socket

    port = int(server.url.rpartition(":")[2].partition("/")[0])
    embedder = embedder_of(f"http://localhost:{port}/v1")
    assert embedder.embed_documents(inputs(1)).failures == {}
    server.requests.clear()
    embedder.close()
    moved = embedder_of(f"http://localhost:{port}/v1")
    place = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", port))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_a, **_k: [place])
    with pytest.raises(OfflineError, match=r"reach 192\.0\.2\.1"):
        moved.embed_documents(inputs(1))
    assert server.requests == []


@pytest.mark.parametrize("host", ["ip6-localhost", "vm", "0.0.0.0", "127.1", "[::ffff:192.0.2.1]"])
def test_no_name_and_no_other_spelling_counts_as_this_machine(server, host):
    port = server.url.rpartition(":")[2]
    with pytest.raises(OfflineError, match="--allow-network"):
        embedder_of(f"http://{host}:{port}")
    assert server.requests == []


# Limits per minute


def test_the_limits_of_a_provider_are_remembered(own_home):
    from localembed.embedding.profiles import ProfileStore

    context = LoadContext(profiles=ProfileStore())
    with OpenAIServer(limits=Limits(requests=300, tokens=90_000)) as server:
        embedder = embedder_of(server, context=context)
        embedder.embed_documents(inputs(2))
        embedder.close()
        again = embedder_of(server, context=context)
        assert again._sender.limits == (300, 90_000)


# Indexing


def write(notes, count, seed="p"):
    for n in range(count):
        (notes / f"{n}.md").write_text(paragraphs(4, f"{seed}{n}x"))


def test_a_folder_is_indexed_and_searched(known, server, notes, real_cli):
    write(notes, 3)
    run = real_cli("index", notes, "--model", "remote")
    assert run.returncode == 0, run.stderr
    assert (
        f"Sends the text of new and changed files, later your queries, to {server.url}"
        in run.stderr
    )
    assert "1 request, " in run.stdout
    assert "billed" in run.stdout
    found = real_cli("query", "p1x word 3", "--mode", "vector", "--json", "--no-resident")
    assert len(json.loads(found.stdout)["hits"]) == 10
    before = len(server.requests)
    again = real_cli("index", "--json")
    assert json.loads(again.stdout)["changed"] is False
    assert len(server.requests) == before


def test_faults_leave_the_same_index(own_home, notes, tmp_path):
    """2,000 chunks from a provider with every transient fault equal those of one without."""
    for n in range(100):
        (notes / f"{n}.md").write_text(paragraphs(20, f"c{n}x"))
    passing = sorted(FAULTS.keys() - FATAL.keys() - SLOW - {"429 seconds", "429 date"})
    found = []
    for faulty in (False, True):
        with OpenAIServer() as server:
            if faulty:
                server.fault_of = lambda number, _: (
                    passing[number // 5 % len(passing)] if number % 5 == 3 else None
                )
            write_registry(own_home / "config", [spec_of(server, max_inputs=32, max_tries=10)])
            place = tmp_path / str(faulty)
            workspace = localembed.Workspace(place, {"model": "remote"})
            report = workspace.index([notes])
            assert (report.failures, report.chunks.failed) == ((), 0)
            found.append(rows_of(workspace))
    assert len(found[0]) >= 2000
    assert found[0] == found[1]


def rows_of(workspace):
    from localembed.store.lance.inspection import Inspection

    name, entry = current_table(workspace)
    chunks = Inspection(workspace.layout.table(name), entry.lance_version).chunks(100_000)
    return sorted((chunk.text, chunk.vector.astype(np.float16).tobytes()) for chunk in chunks)


def test_failed_chunks_are_shown_and_retried(known, server, notes, real_cli):
    (notes / "good.md").write_text("zebra crossing")
    (notes / "bad.md").write_text("# One\n\npoison here\n\n# Two\n\nhealthy text")
    server.fault_of = lambda _n, texts: "400" if any("poison" in text for text in texts) else None
    run = real_cli("index", notes, "--model", "remote", "--json")
    assert run.returncode == 3, run.stderr
    report = json.loads(run.stdout)
    assert report["chunks"]["failed"] == 1
    assert report["chunks"]["embedded"] + 1 == report["chunks"]["total"]
    status = json.loads(real_cli("status", "--json").stdout)
    assert [entry["path"] for entry in status["failures"]] == [str(notes / "bad.md")]
    assert "status 400" in status["failures"][0]["reason"]
    shown = real_cli("status").stdout
    assert "1 passage without a vector; run: localembed index --retry-failed" in shown
    found = real_cli("query", "poison", "--mode", "text", "--json", "--no-resident")
    assert json.loads(found.stdout)["hits"]
    before = len(server.requests)
    assert real_cli("index").returncode == 0
    assert len(server.requests) == before
    server.fault_of = lambda *_: None
    again = real_cli("index", "--retry-failed", "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["chunks"]["embedded"] == 1
    assert [len(request.texts) for request in server.requests[before:]] == [1]
    assert json.loads(real_cli("status", "--json").stdout)["failures"] == []


def test_failed_chunks_are_known_after_the_manifest_is_lost(known, server, notes):
    (notes / "bad.md").write_text("poison here")
    (notes / "good.md").write_text("zebra")
    server.fault_of = lambda _n, texts: "400" if any("poison" in text for text in texts) else None
    workspace = localembed.Workspace(notes.parent / "ws", {"model": "remote"})
    workspace.index([notes])
    workspace.layout.manifest.unlink()
    server.fault_of = lambda *_: None
    workspace.index()
    assert workspace.index(retry_failed=True).chunks.embedded == 1
    assert workspace.status().failures == ()


def test_nothing_is_paid_for_twice(known, server, notes, real_cli):
    """A run that is refused midway continues from the answers that it had."""
    write(notes, 40)
    known(max_inputs=8, max_concurrency=1)
    server.fault_of = lambda number, _: "401" if number > 5 else None
    run = real_cli("index", notes, "--model", "remote")
    assert run.returncode == 4
    assert "Check that the key is right" in run.stderr
    had = len(server.texts)
    assert had == 40
    server.fault_of = lambda *_: None
    run = real_cli("index", "--model", "remote", "--json")
    assert run.returncode == 0, run.stderr
    assert len(server.texts) == len(set(server.texts)) == json.loads(run.stdout)["chunks"]["total"]
    assert not list((notes.parent).rglob("pending/*"))


def test_saved_answers_are_used_for_chunks_of_another_size(known, server, notes, real_cli):
    for n in range(40):
        (notes / f"{n}.md").write_text(f"one short text, number {n}")
    known(max_inputs=8, max_concurrency=1)
    server.fault_of = lambda number, _: "401" if number > 3 else None
    assert real_cli("index", notes, "--model", "remote").returncode == 4
    server.fault_of = lambda *_: None
    run = real_cli("index", "--model", "remote", "--chunk-tokens", "100")
    assert run.returncode == 0, run.stderr
    assert len(server.texts) == len(set(server.texts)) == 40
    assert not list((notes.parent).rglob("pending/*"))


def test_the_same_text_in_concurrent_windows_is_requested_once(known, server, notes):
    for n in range(30):
        (notes / f"{n:02} a.md").write_text("boilerplate")
        (notes / f"{n:02} b.md").write_text(f"own text {n}")
    server.hold_until = 2
    workspace = localembed.Workspace(
        notes.parent / "ws", {"model": "remote"}, limits.Limits(batch_chunks=2)
    )
    report = workspace.index([notes])
    assert sorted(server.texts) == sorted(["boilerplate", *(f"own text {n}" for n in range(30))])
    assert (report.chunks.total, report.chunks.embedded, report.chunks.reused) == (60, 31, 29)


# Money


def test_a_dry_run_costs_nothing_and_estimates_a_run(known, server, notes, real_cli):
    write(notes, 5)
    known(usd_per_million_tokens=100.0, price_date="2026-11-23", tokens_per_minute=100_000)
    run = real_cli("index", notes, "--model", "remote", "--dry-run", "--json")
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    assert (server.requests, found["files"], found["reused"]) == ([], 5, 0)
    assert found["usd"] == pytest.approx(found["tokens"] / 10_000)
    assert found["minutes"] == pytest.approx(found["tokens"] / 100_000)
    text = real_cli("index", notes, "--model", "remote", "--dry-run").stdout
    assert "Would read 5 files" in text
    assert "(price as of 2026-11-23)" in " ".join(text.split())
    assert not (notes.parent / "home/data/localembed/vectors").exists()
    report = json.loads(real_cli("index", notes, "--model", "remote", "--json").stdout)
    assert report["chunks"]["embedded"] == found["embedded"]
    assert report["tokens"]["embedded"] == found["tokens"]
    assert len(server.requests) == found["requests"]
    nothing = real_cli("index", "--dry-run").stdout
    assert "Nothing to embed" in nothing


def test_a_dry_run_of_a_local_model_says_that_nothing_is_sent(notes, run_cli):
    write(notes, 1)
    run = run_cli("index", notes, "--dry-run")
    assert "on this machine: nothing is sent" in run.stdout


def test_a_run_stops_before_it_costs_more(known, server, notes, real_cli):
    write(notes, 40)
    known(usd_per_million_tokens=1000.0, max_inputs=8, max_concurrency=2)
    run = real_cli("index", notes, "--model", "remote", "--max-cost", "2.5")
    assert run.returncode == 3
    assert "Stopped at the limit of $2.50" in run.stderr
    spent = sum(request.tokens for request in server.requests) / 1000
    assert 1.0 < spent <= 2.5
    assert " of vectors, for the next localembed index" in real_cli("status").stdout
    run = real_cli("index", "--model", "remote", "--json")
    assert run.returncode == 0
    assert json.loads(real_cli("status", "--json").stdout)["pending_bytes"] == 0
    assert len(server.texts) == len(set(server.texts))


@pytest.mark.parametrize("amount", [float("nan"), float("inf"), -1.0])
def test_a_limit_that_is_not_an_amount_is_refused(server, amount):
    with pytest.raises(UsageError, match="must be an amount of US dollars"):
        embedder_of(server, usd_per_million_tokens=1.0, max_cost=amount).embed_documents(inputs(1))
    assert server.requests == []


def test_a_limit_without_a_price_is_refused(server):
    with pytest.raises(UsageError, match="no price is known"):
        embedder_of(server, max_cost=1.0)
    with pytest.raises(CostLimitError):
        embedder_of(server, max_cost=0.0, usd_per_million_tokens=1.0).embed_documents(inputs(1))


# What models.toml may contain


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"base_url": "ftp://x"}, "base_url must be an address"),
        ({"base_url": "https://user:pw@x/v1"}, "without a key in it"),
        ({"max_inputs": 0}, "max_inputs must be a positive integer"),
        ({"tokenizer": "cl100k"}, "tokenizer must be path:FILE"),
        ({"sources": ["path:/x"]}, "unknown key 'sources'"),
        ({"base_uri": "x"}, "Did you mean base_url"),
    ],
)
def test_a_block_that_cannot_work_is_refused(change, message):
    from localembed.models.blocks import checked_spec

    block = {
        "backend": "openai", "base_url": "http://127.0.0.1/v1", "model": "m", "dim": 3,
        "max_tokens": 100, **change,
    }  # fmt: skip
    with pytest.raises(RegistryError, match=message):
        checked_spec("here", "m", block)


def test_a_workspace_cannot_name_a_variable_to_send(workspace, server, monkeypatch):
    monkeypatch.setenv("MY_PRIVATE_SECRET", "hunter2")
    workspace.create()
    workspace.layout.models.write_text(
        f'[models.theirs]\nbackend = "openai"\nbase_url = "{server.url}"\nmodel = "m"\ndim = 16\n'
        'max_tokens = 128\napi_key_env = "MY_PRIVATE_SECRET"\n'
    )
    with pytest.raises(RegistryError, match=r"\[models.theirs\]: this block names a server"):
        localembed.Workspace(workspace.folder, {"model": "theirs"}).index([workspace.folder.parent])
    assert server.requests == []


def test_a_workspace_cannot_name_another_machine(workspace):
    block = {"backend": "openai", "base_url": "https://evil.example/v1", "model": "m"}
    workspace.create()
    lines = [f'{key} = "{value}"' for key, value in block.items()]
    workspace.layout.models.write_text("[models.m]\ndim = 3\nmax_tokens = 100\n" + "\n".join(lines))
    with pytest.raises(RegistryError, match=r"names a server, https://evil\.example/v1"):
        workspace.index()


def test_a_missing_tokenizer_is_reported(server):
    with pytest.raises(LocalembedError, match="tiktoken has no encoding 'no_such'"):
        embedder_of(server, tokenizer="tiktoken:no_such")


@pytest.fixture
def bytes_bpe(monkeypatch):
    """A small tiktoken encoding: the library fetches its own, and there is no network."""
    tiktoken = pytest.importorskip("tiktoken")
    ranks = {bytes([n]): n for n in range(256)} | {b"wo": 256, b"rd": 257, b"word": 258}
    encoding = tiktoken.Encoding(
        "bytes", pat_str=r"\s+|\S+", mergeable_ranks=ranks, special_tokens={"<|end|>": 300}
    )
    monkeypatch.setitem(tiktoken.registry.ENCODINGS, "bytes", encoding)


def test_tiktoken_counts_and_places_tokens(bytes_bpe):
    tokenizer = load_tokenizer(spec_of("http://127.0.0.1:9/v1", tokenizer="tiktoken:bytes"), Path())
    text = "word é🦊 <|end|>"
    (tokens,) = tokenizer([text])
    assert len(tokens.ids) == 1 + 1 + 2 + 4 + 1 + len("<|end|>")
    assert (tokens.starts[0], tokens.ends[0]) == (0, 4)
    assert all(a < b for a, b in zip(tokens.starts, tokens.ends, strict=True))
    # Every character belongs to a token, and no token ends inside a character.
    assert {p for a, b in zip(tokens.starts, tokens.ends, strict=True) for p in range(a, b)} == set(
        range(len(text))
    )
    assert tokens.words.tolist() == sorted(tokens.words.tolist())
    assert tokens.words[-1] == 3


def test_chunks_of_tiktoken_fit_the_model(bytes_bpe, known, server, notes):
    (notes / "a.md").write_text("".join(f"🦊{n}" for n in range(700)))
    known(tokenizer="tiktoken:bytes")
    workspace = localembed.Workspace(notes.parent / "ws", {"model": "remote"})
    report = workspace.index([notes])
    assert report.chunks.total > 30
    encode = load_tokenizer(spec_of(server, tokenizer="tiktoken:bytes"), Path())
    assert max(len(encode([text])[0].ids) for text in server.texts) <= 128
    assert all(f"🦊{n}" in "".join(server.texts) for n in range(700))


def test_without_the_extra_the_message_says_how_to_install_it(server, monkeypatch):
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(ModelNotFoundError, match=r"pip install 'localembed\[openai\]'"):
        embedder_of(server)


def test_a_long_query_is_embedded_in_pieces(server):
    embedder = embedder_of(server)
    pieces = embedder.count_pieces("word " * 400)
    row = embedder.embed_query("word " * 400)
    assert pieces > 1
    assert np.linalg.norm(row) == pytest.approx(1.0, abs=1e-5)
    assert len(server.requests[0].texts) == pieces
