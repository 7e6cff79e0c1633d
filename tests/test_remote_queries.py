"""What queries send to a provider; permission given to a long-lived process holds once."""

from __future__ import annotations

import threading

import pytest

import localembed
from localembed.cli.exit_codes import run
from localembed.cli.main import cli
from localembed.core import offline
from localembed.errors import OfflineError, RemoteModelError
from localembed.types.queries import Query
from tests.conftest import paragraphs


@pytest.fixture
def indexed(known, server, notes):
    """A workspace with vectors of a remote model; the requests so far are forgotten."""
    (notes / "a.md").write_text(paragraphs(4))
    workspace = localembed.Workspace(notes.parent / "ws", {"model": "remote"})
    workspace.index([notes])
    server.requests.clear()
    return localembed.Workspace(workspace.folder)


@pytest.fixture
def far_away(monkeypatch):
    """Treat the provider as another machine."""
    monkeypatch.setattr(offline, "is_here", lambda _host: False)


def test_permission_for_one_query_is_none_for_the_next(indexed, server, far_away):
    assert indexed.search(Query("first", allow_network=True)).hits
    assert server.texts == ["first"]
    with pytest.raises(OfflineError, match="--allow-network"):
        indexed.search(Query("second"))
    assert server.texts == ["first"]
    assert indexed.search(Query("third", allow_network=True)).hits
    assert server.texts == ["first", "third"]


def test_permission_by_the_environment_ends_with_it(indexed, server, far_away, monkeypatch):
    monkeypatch.setenv("LOCALEMBED_ALLOW_NETWORK", "1")
    assert indexed.query("first")
    monkeypatch.delenv("LOCALEMBED_ALLOW_NETWORK")
    with pytest.raises(OfflineError):
        indexed.query("second")
    assert server.texts == ["first"]


def remote_threads():
    """Return the threads that talk to servers, the newest last."""
    return [thread for thread in threading.enumerate() if thread.name == "localembed-remote"]


def test_every_command_uses_the_key_of_its_own_environment(indexed, known, server, monkeypatch):
    known(api_key_env="MY_KEY")
    before = set(remote_threads())
    for key in ("one", "two"):
        monkeypatch.setenv("MY_KEY", key)
        indexed.query(f"words of {key}")
    monkeypatch.delenv("MY_KEY")
    with pytest.raises(RemoteModelError, match="variable MY_KEY"):
        indexed.query("words")
    sent = [request.headers["authorization"] for request in server.requests]
    assert sent == ["Bearer one", "Bearer two"]
    *replaced, _last = [thread for thread in remote_threads() if thread not in before]
    for thread in replaced:
        thread.join(60)
        assert not thread.is_alive()


def test_the_same_permission_keeps_the_connection(indexed, server):
    for word in ("one", "two", "three"):
        indexed.query(word)
    assert len(indexed._models._connections) == 1
    assert len({request.connection for request in server.requests}) == 1


def test_the_first_query_to_a_provider_names_it(indexed, server, own_home):
    notices: list[str] = []
    for profiles in own_home.rglob("profiles.json"):
        profiles.unlink()  # as if another user had made the index
    indexed.search(Query("one"), on_notice=notices.append)
    localembed.Workspace(indexed.folder).search(Query("two"), on_notice=notices.append)
    (sentence,) = notices
    assert sentence == f"Sends your queries to {server.url} (model test-model), nothing else."


def test_a_user_who_indexed_was_told_of_queries(indexed):
    notices: list[str] = []
    indexed.search(Query("one"), on_notice=notices.append)
    assert notices == []


def test_warming_up_sends_nothing(indexed, server):
    indexed.warm()
    assert server.requests == []
    assert indexed.query("pword3x7")
    assert len(server.requests) == 1


def test_the_first_query_of_a_user_prints_the_notice(indexed, server, real_cli, own_home):
    for profiles in own_home.rglob("profiles.json"):
        profiles.unlink()
    first, second = (
        real_cli("query", word, "--workspace", indexed.folder) for word in ("one", "two")
    )
    assert f"Sends your queries to {server.url}" in first.stderr
    assert first.returncode == second.returncode == 0
    assert "Sends" not in second.stderr
    assert "Sends" not in first.stdout


@pytest.mark.parametrize("allowed", [True, False])
def test_questions_with_known_answers_need_permission_too(
    indexed, server, notes, far_away, allowed
):
    questions = notes.parent / "questions.tsv"
    questions.write_text("pword3x7\tnotes/a.md\n")
    words = ["eval", questions, "--workspace", indexed.folder, "--mode", "vector"]
    code = run(cli, [*map(str, words), *(["--allow-network"] if allowed else [])])
    assert code == (0 if allowed else 6)
    assert server.texts == (["pword3x7"] if allowed else [])


def test_the_same_words_are_sent_once(indexed, server, far_away):
    for mode in ("vector", "hybrid", "text"):
        assert indexed.search(Query("pword3x7", mode, allow_network=True)).hits
    assert indexed.search(Query("pword3x7", top_k=3)).hits  # sends nothing
    assert server.texts == ["pword3x7"]
    with pytest.raises(OfflineError):
        indexed.search(Query("other words"))


def test_a_provider_that_was_down_is_tried_again(indexed, server, known):
    known(max_tries=1, patience_seconds=0.5)
    server.fault_of = lambda *_: "503"
    with pytest.raises(RemoteModelError, match="could not embed the query"):
        indexed.query("pword3x7")
    server.fault_of = lambda *_: None
    assert indexed.query("pword3x7")


def test_warming_up_leaves_no_vector_behind(indexed, server):
    indexed.warm()
    assert indexed.query("warm", mode="vector")
    assert server.texts == ["warm"]
