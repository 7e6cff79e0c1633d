"""Few chunks are embedded by the resident, which holds the model; all else by the run itself."""

from __future__ import annotations

import json
import shutil
import socket
from dataclasses import replace

import numpy as np
import pytest

import localembed
from localembed import models
from localembed.embedding import EngineOptions, LoadContext, RemoteOptions, load_embedder
from localembed.embedding.engines.numpy_bert import LightEngine
from localembed.embedding.local import _numpy_embedder
from localembed.embedding.model_shape import read_shape
from localembed.server import embed_messages, wire
from localembed.server.service import Service
from localembed.types.limits import Limits
from localembed.types.models import EmbedReply, EmbedRequest, ModelInput
from tests.conftest import all_rows, paragraphs
from tests.fake_backend import DIM
from tests.test_resident import _SERVER, runtime, wait_for
from tests.test_resident import localembed as command_line
from tests.test_resident import server as resident

__all__ = ["command_line", "resident", "runtime"]  # fixtures
needs_sockets = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="needs Unix sockets")


class OtherProcess:
    """Embeds with the service of another process, or not at all."""

    def __init__(self, answer=None) -> None:
        self.requests: list[EmbedRequest] = []
        self._service = Service(1 << 30)
        self._answer = answer or self._service.embed

    def embed(self, request, /):
        self.requests.append(request)
        return self._answer(request)


def ones(request):
    """Return vectors that no model makes."""
    vectors = np.ones((len(request.token_ids), DIM), np.float32)
    return EmbedReply(vectors, "light", "cpu", "fp32")


@pytest.fixture
def indexed(notes, workspace):
    """A workspace with 20 chunks, to which one line is added."""
    (notes / "a.md").write_text(paragraphs(20))
    workspace.index()
    with (notes / "a.md").open("a") as file:
        file.write("\n\nOne more line about zebras.")
    return workspace


def test_few_chunks_are_embedded_by_the_process_and_by_none_else(indexed, fake):
    fake.embedded.clear()
    process = OtherProcess(ones)
    report = indexed.index(embedding_service=process)
    (request,) = process.requests
    assert report.chunks.embedded == len(request.token_ids) > 0
    assert report.chunks.reused > 0
    assert fake.embedded == []
    assert report.engine is not None
    assert (report.engine.engine, report.engine.precision) == ("light", "fp32")
    assert report.engine.tokens == report.tokens.embedded == sum(map(len, request.token_ids))


def test_the_vectors_of_the_process_are_those_of_the_run(indexed, notes, tmp_path):
    lent = indexed.index(embedding_service=OtherProcess())
    other = tmp_path / "other"
    shutil.copytree(notes, other, ignore=shutil.ignore_patterns(".localembed"))
    alone = localembed.open(other)
    alone.index()
    assert lent.chunks.embedded > 0

    def vectors(workspace):
        return {hit.text: hit.score for hit in workspace.query("zebras pword3x1", mode="vector")}

    assert vectors(indexed) == pytest.approx(vectors(alone))


@pytest.mark.parametrize(
    "answer",
    [
        lambda _: None,
        lambda request: replace(ones(request), vectors=np.ones((1, DIM + 1), np.float32)),
        lambda request: replace(ones(request), vectors=np.ones((99, DIM), np.float32)),
        lambda request: replace(ones(request), device="cuda:0"),
    ],
    ids=["gone", "other dimensions", "too many rows", "other device"],
)
def test_without_a_usable_answer_the_run_embeds_itself(indexed, fake, answer):
    fake.embedded.clear()
    report = indexed.index(embedding_service=OtherProcess(answer))
    assert len(fake.embedded) == report.chunks.embedded > 0
    assert indexed.query("zebras", mode="text")[0].text.endswith("zebras.")
    assert all_rows(indexed)


def test_a_process_that_fails_once_is_not_asked_again(fake, notes):
    workspace = localembed.Workspace(notes / ".localembed", limits=Limits(batch_chunks=4))
    for number in range(6):
        (notes / f"{number}.md").write_text(paragraphs(3, seed=f"s{number}"))
    answers = iter([ones])
    process = OtherProcess(lambda request: next(answers, lambda _: None)(request))
    report = workspace.index([notes], embedding_service=process)
    assert len(process.requests) == 2
    lent = len(process.requests[0].token_ids)
    assert report.chunks.embedded == lent + len(fake.embedded)
    assert report.chunks.total == report.chunks.embedded


def test_many_tokens_are_embedded_by_the_run(fake, notes):
    workspace = localembed.Workspace(notes / ".localembed", limits=Limits(resident_tokens=60))
    (notes / "a.md").write_text(paragraphs(3))
    process = OtherProcess(ones)
    report = workspace.index([notes], embedding_service=process)
    assert process.requests == []
    assert len(fake.embedded) == report.chunks.embedded


@pytest.mark.parametrize(
    "flags", [{"engine": "torch"}, {"device": "mps"}, {"precision": "bf16"}], ids=str
)
def test_what_the_user_chose_is_never_replaced(indexed, flags):
    process = OtherProcess(ones)
    localembed.Workspace(indexed.folder, flags).index(embedding_service=process)
    assert process.requests == []


def test_a_precision_that_was_requested_is_kept(indexed, fake):
    fake.embedded.clear()
    process = OtherProcess(lambda request: replace(ones(request), precision="bf16"))
    localembed.Workspace(indexed.folder, {"precision": "fp32"}).index(embedding_service=process)
    assert process.requests[0].variables["LOCALEMBED_PRECISION"] == "fp32"
    assert fake.embedded


def test_texts_for_a_remote_model_go_to_no_other_process(known, notes):
    (notes / "a.md").write_text(paragraphs(2))
    process = OtherProcess(ones)
    workspace = localembed.Workspace(notes / ".localembed", {"model": "remote"})
    assert workspace.index([notes], embedding_service=process).chunks.embedded
    assert process.requests == []


def embed_request(indexed, **changes):
    status = indexed.status()
    entry = models.open_model("fake", indexed.layout)
    whole = EmbedRequest(
        indexed.folder, status.model, DIM, entry.space_id, {}, (np.arange(5, dtype=np.int32),)
    )
    return replace(whole, **changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"space_id": "another"},
        {"token_ids": (np.zeros(2000, np.int32),)},
        {"model": "nowhere"},
        {"variables": {"LOCALEMBED_DEVICE": "toaster"}},
    ],
    ids=["another model", "too many", "unknown", "bad option"],
)
def test_the_service_refuses_what_it_cannot_do_as_well(indexed, changes):
    service = Service(1 << 30)
    assert service.embed(embed_request(indexed)).vectors.shape == (1, DIM)
    with pytest.raises((ValueError, localembed.errors.LocalembedError)):
        service.embed(embed_request(indexed, **changes))


def test_messages_come_through(indexed):
    texts = tuple(np.arange(length, dtype=np.int32) for length in (3, 0, 7))
    request = embed_request(indexed, token_ids=texts, variables={"LOCALEMBED_DEVICE": "cpu"})
    read = embed_messages.read_request(embed_messages.request_parts(request))
    assert replace(read, token_ids=()) == replace(request, token_ids=())
    assert [ids.tolist() for ids in read.token_ids] == [ids.tolist() for ids in texts]
    made = EmbedReply(np.full((2, 3), np.nan, np.float32), "light", "cpu", "fp32")
    kind, *parts = embed_messages.vectors_reply(made)
    assert kind == wire.VECTORS
    assert np.array_equal(embed_messages.read_vectors(parts).vectors, made.vectors, equal_nan=True)


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [b"{}", b"", b""],
        [b"[]", b"", b""],
        [b"no json", b"", b""],
        [b"{}", b"\1\0\0\0", b""],
        [b"{}", b"\xff\xff\xff\xff", b""],
        [b"{}", b"\1\0\0\0", b"\xff\xff\xff\xff"],
        [b"{}", b"\1", b""],
    ],
)
def test_a_malformed_request_is_refused(parts):
    with pytest.raises((ValueError, KeyError, TypeError)):
        embed_messages.read_request(parts)


@needs_sockets
def test_a_refresh_uses_the_model_that_the_server_holds(command_line, tmp_path):
    """The whole way with real processes, for a transformer: no torch, and the same vectors."""
    env = {"LOCALEMBED_MODEL": "tiny-bert", "LOCALEMBED_PRECISION": "fp32"}
    assert command_line("index", "-q", **env).returncode == 0
    command_line("query", "zebra", "--model", "tiny-bert", **env)
    wait_for()
    (tmp_path / "notes" / "c.md").write_text("a giraffe eats leaves")
    report = json.loads(command_line("index", "--json", **env).stdout)
    assert report["chunks"]["embedded"] == 1
    assert (report["engine"]["name"], report["engine"]["precision"]) == ("light", "fp32")
    assert report["stages"]["load model"] < 0.2
    lent = json.loads(command_line("query", "--like", "notes/c.md", "--json", **env).stdout)
    assert len(lent["hits"]) == 2
    command_line("serve", "--stop")
    shutil.rmtree(tmp_path / ".localembed")
    assert command_line("init").returncode == 0
    fresh = json.loads(command_line("index", "notes", "--json", **env).stdout)
    assert fresh["engine"]["name"] != "light"
    alone = json.loads(command_line("query", "--like", "notes/c.md", "--json", **env).stdout)
    for one, other in zip(lent["hits"], alone["hits"], strict=True):
        assert one["path"] == other["path"]
        assert one["similarity"] == pytest.approx(other["similarity"], abs=1e-4)


@needs_sockets
def test_a_server_that_dies_while_it_embeds_costs_nothing(command_line, resident, tmp_path):
    code = _SERVER.replace('b"die"', 'b"embed"')
    assert code != _SERVER
    process = resident(code=code)
    (tmp_path / "notes" / "c.md").write_text("a zebra eats leaves")
    report = json.loads(command_line("index", "--json").stdout)
    process.wait(60)
    assert report["chunks"]["embedded"] == 1
    assert report["engine"]["name"] == "static"
    assert "c.md" in command_line("query", "leaves", "-l", "--no-resident").stdout


def test_the_query_engine_gives_the_vectors_of_the_fp32_engine(minilm):
    """The parity on which this rests, for documents of every length, with the real model."""
    model = models.open_model(minilm)
    lent = _numpy_embedder(model.spec, model.folder, read_shape(model.folder))
    assert lent is not None
    assert lent.engine.name == LightEngine.name
    rng = np.random.default_rng(3)
    ids = [rng.integers(1000, 29_000, length).astype(np.int32) for length in (1, 7, 60, 200, 254)]
    options = EngineOptions(device="cpu", precision="fp32")
    own = load_embedder(model.spec, model.folder, options, RemoteOptions(), LoadContext())
    ours, theirs = (
        embedder.embed_documents([ModelInput("", text) for text in ids]).vectors
        for embedder in (lent, own)
    )
    assert (np.sum(ours * theirs, axis=1) >= 0.99999).all()
