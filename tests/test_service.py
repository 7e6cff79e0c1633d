"""The service: what several requests at a time share, and what leaves when memory is short."""

from __future__ import annotations

import gc
import os
import threading
import time
from functools import partial

import pytest

import localembed
from localembed.core import offline
from localembed.errors import NotIndexedError, OfflineError
from localembed.server.service import Place, Service
from localembed.types.queries import Query
from localembed.workspace.query_models import ForeignVariablesError, OtherEnvironmentError
from tests.conftest import paragraphs


@pytest.fixture
def places(fake, tmp_path):
    """Three indexed workspaces, each named by the folder in which a search begins."""
    found = []
    for name in ("one", "two", "three"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / f"{name}.md").write_text(f"words about {name}")
        localembed.open(folder).index()
        found.append(Place(str(folder)))
    return found


def ask(service, place, text="words", **options):
    with service.workspace(place, {"LOCALEMBED_MODEL": "fake"}) as workspace:
        return workspace.search(Query(text, **options))


def folders(service):
    return [entry.folder.split("/")[-2] for entry in service.status().workspaces]


def in_threads(*calls):
    """Run functions at the same time, and return their results or exceptions in order."""
    results: list[object] = [None] * len(calls)

    def run(place, call):
        try:
            results[place] = call()
        except Exception as error:  # noqa: BLE001 - handed to the test
            results[place] = error

    threads = [threading.Thread(target=run, args=item) for item in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    return results


def test_the_least_recently_used_workspaces_leave_when_memory_is_short(places):
    used = [0]
    service = Service(1000, used_memory=lambda: used[0])
    for place in (*places, places[0]):
        assert ask(service, place).hits
    assert folders(service) == ["one", "three", "two"]
    measured = iter([2000, 1500, 900])
    service._used_memory = lambda: next(measured)
    ask(service, places[2])
    service._used_memory = lambda: 900
    assert folders(service) == ["three"]
    assert ask(service, places[1]).hits


def test_the_workspace_used_last_stays_whatever_it_takes(places):
    service = Service(1000, used_memory=lambda: 5000)
    for place in places:
        assert ask(service, place).hits
        assert len(folders(service)) == 1


def test_a_workspace_in_use_is_not_closed(places):
    service = Service(1000, used_memory=lambda: 5000)
    with service.workspace(places[0], {}) as first:
        assert ask(service, places[1]).hits
        assert folders(service) == ["two", "one"]
        assert first.search(Query("words")).hits
    assert folders(service) == ["two"]


def test_models_are_shared_and_leave_with_their_last_workspace(places):
    service = Service(1000, used_memory=lambda: 0)
    for place in places:
        ask(service, place)
    gc.collect()
    assert [model.name for model in service.status().models] == ["fake"]
    service._used_memory = lambda: 5000
    ask(service, places[0], mode="text")
    assert [model.name for model in service.status().models] == ["fake"]
    with service.workspace(Place("/", str(places[0].folder) + "/nowhere"), {}):
        pass
    service._open.clear()
    gc.collect()
    assert service.status().models == ()


def test_a_system_that_does_not_count_memory_closes_nothing(places):
    service = Service(1, used_memory=lambda: None)
    for place in places:
        ask(service, place)
    assert len(folders(service)) == 3
    assert service.status().memory_bytes is None


def test_memory_is_that_of_this_process():
    service = Service(1)
    before = service.status().memory_bytes
    if before is None:
        pytest.skip("the system does not count it")
    held = bytearray(b"x" * (64 << 20))
    after = service.status().memory_bytes
    assert after is not None
    assert 56 << 20 < after - before < 80 << 20
    del held


def test_what_is_no_workspace_is_not_kept_open(fake, tmp_path):
    service = Service(1 << 30)
    with pytest.raises(NotIndexedError):
        ask(service, Place(str(tmp_path), str(tmp_path / "nowhere")))
    assert service.status().workspaces == ()


def test_queries_of_different_workspaces_run_at_the_same_time(places):
    service = Service(1 << 30)
    meeting = threading.Barrier(3, timeout=60)

    def call(place):
        with service.workspace(place, {}) as workspace:
            meeting.wait()  # all three are inside
            return len(workspace.search(Query("words")).hits)

    assert in_threads(*(lambda place=place: call(place) for place in places)) == [1, 1, 1]


def test_queries_of_one_workspace_get_the_same_answers_together_as_alone(fake, notes):
    (notes / "a.md").write_text(paragraphs(40))
    localembed.open(notes).index()
    place = Place(str(notes))
    modes = ("vector", "text", "hybrid")
    queries = [(mode, f"pword{number}x{number}") for number in range(8) for mode in modes]

    def hits(service, mode, text):
        return [
            (hit.chunk_id, round(hit.score, 5)) for hit in ask(service, place, text, mode=mode).hits
        ]

    quiet = Service(1 << 30)
    expected = [hits(quiet, *query) for query in queries]
    for _ in range(3):
        busy = Service(1 << 30)  # nothing is open yet, nor in memory
        calls = [partial(hits, busy, *query) for query in queries]
        assert in_threads(*calls) == expected


def test_variables_of_a_request_hold_for_it_alone(places, monkeypatch):
    service = Service(1 << 30)
    three = {"LOCALEMBED_TOP_K": "3"}
    with service.workspace(places[0], three) as one, service.workspace(places[0], {}) as two:
        assert (one.settings.settings.top_k, two.settings.settings.top_k) == (3, 10)
        monkeypatch.setenv("LOCALEMBED_TOP_K", "5")
        assert two.settings.settings.top_k == 10


@pytest.fixture
def remote(known, server, notes):
    """A place with vectors of a remote model; the requests so far are forgotten."""
    (notes / "a.md").write_text(paragraphs(4))
    localembed.Workspace(notes / ".localembed", {"model": "remote"}).index([notes])
    server.requests.clear()
    return Place(str(notes))


def variables_of(service, place):
    """Return the variables that a remote query needs, as they are in this process."""
    with pytest.raises(ForeignVariablesError) as raised:
        ask(service, place, "first")
    return {name: os.environ.get(name, "") for name in raised.value.names}


def wait_for_requests(server, count):
    end = time.monotonic() + 60
    while len(server.requests) < count:
        assert time.monotonic() < end
        time.sleep(0.01)


def test_the_network_is_open_for_the_request_that_allows_it_alone(remote, server, monkeypatch):
    """While a permitted request waits for its provider, another one is refused."""
    service = Service(1 << 30)
    variables = variables_of(service, remote)
    monkeypatch.setattr(offline, "is_here", lambda _host: False)
    server.hold_until = 2

    def call(text, allowed):
        with service.workspace(remote, variables) as workspace:
            return workspace.search(Query(text, allow_network=allowed)).hits

    def refused():
        wait_for_requests(server, 1)
        try:
            return call("second", allowed=False)
        finally:
            server.hold_until = 0

    hits, error = in_threads(lambda: call("first", allowed=True), refused)
    assert hits
    assert isinstance(error, OfflineError)
    assert server.texts == ["first"]


def test_a_remote_model_needs_the_variables_of_the_requesting_process(
    remote, server, known, monkeypatch
):
    known(api_key_env="MY_KEY")
    service = Service(1 << 30)
    variables = variables_of(service, remote)
    assert {"MY_KEY", "HTTPS_PROXY", "https_proxy"} <= variables.keys()
    monkeypatch.setenv("MY_KEY", "mine")
    for other in ({"MY_KEY": "another"}, {"MY_KEY": ""}, {"HTTPS_PROXY": "http://proxy:1"}):
        given = {**variables, "MY_KEY": "mine", **other}
        with (
            pytest.raises(OtherEnvironmentError),
            service.workspace(remote, given) as workspace,
        ):
            workspace.search(Query("first"))
    assert server.texts == []
    with service.workspace(remote, {**variables, "MY_KEY": "mine"}) as workspace:
        assert workspace.search(Query("first")).hits
    assert [request.headers["authorization"] for request in server.requests] == ["Bearer mine"]


def test_a_connection_is_closed_once_its_last_query_is_answered(remote, server, known, monkeypatch):
    known(api_key_env="MY_KEY")
    workspace = localembed.Workspace(localembed.open(remote.folder).folder)
    server.hold_until = 2
    monkeypatch.setenv("MY_KEY", "one")

    def second():
        wait_for_requests(server, 1)
        monkeypatch.setenv("MY_KEY", "two")
        return len(workspace.query("second"))

    first, later = in_threads(lambda: len(workspace.query("first")), second)
    assert first == later > 0
