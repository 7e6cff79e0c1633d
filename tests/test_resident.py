"""The process that answers queries: found, started once, replaced, and never missed."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import select
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import termios
import threading
import time
from pathlib import Path

import pytest

from localembed.server import address, client, requests, single, start, wire
from localembed.server.code_version import fingerprint
from tests.conftest import PROJECT
from tests.sweeps import sampled

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="needs Unix sockets")

_SERVER = """
import os, signal, sys, threading
from localembed.server.resident import ResidentLimits, serve

class PanicException(BaseException):
    pass

class Answerer:
    def warm(self):
        pass

    def answer(self, kind, parts):
        if kind == b"die":
            os.kill(os.getpid(), signal.SIGKILL)
        if kind == b"wait":
            threading.Event().wait(3600)
        if kind == b"bug":
            raise RuntimeError
        if kind == b"panic":
            raise PanicException
        return [kind, *parts]

limits = ResidentLimits(connections=int(sys.argv[2]), end_seconds=0.5)
print(serve(Answerer(), float(sys.argv[1]), None, limits), flush=True)
"""
_CLIENT = """
import sys
before = set(sys.modules)
from localembed.__main__ import main
try:
    main()
finally:
    heavy = {"click", "json", "pathlib", "typing", "dataclasses", "re", "numpy", "lancedb"}
    print("IMPORTED", *sorted(heavy & (set(sys.modules) - before)), file=sys.stderr)
"""


_STRANGER = """
import os, sys
from localembed.server import address, wire

os.setuid(65534)
address.is_private = lambda _: True
connection, _ = address.connect(sys.argv[1], 5)
try:
    wire.send(connection, [b"", b"code", b"status"])
    print(wire.receive(connection))
except OSError:
    print(None)
"""


@pytest.fixture
def runtime(monkeypatch):
    """A short runtime folder of its own; what is left running there is ended."""
    folder = tempfile.mkdtemp(prefix="le-")
    monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
    yield Path(folder)
    shutil.rmtree(folder)


@pytest.fixture
def localembed(runtime, tiny_models, tmp_path):
    """Run the real command line, as its users do, over an index of two notes."""
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.md").write_text("# Keys\n\nrotating api keys every month")
    (tmp_path / "notes" / "b.md").write_text("the zebra runs")

    def call(*arguments, cwd=tmp_path, code=None, stdout=subprocess.PIPE, **env):
        command = [sys.executable, "-c", code] if code else [sys.executable, "-m", "localembed"]
        return subprocess.run(
            [*command, *map(os.fspath, arguments)],
            cwd=cwd,
            env={
                **os.environ,
                "PYTHONPATH": str(PROJECT),
                "LOCALEMBED_MODEL": "tiny-static",
                "CI": "",
                **env,
            },
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=120,
        )

    assert call("init").returncode == 0
    assert call("index", "notes", "-q").returncode == 0
    yield call
    call("serve", "--stop")


def wait_for(*, running=True):
    deadline = time.monotonic() + 60
    while start.is_running() is not running:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def residents(tmp_path):
    """Return the process ids of the residents that a test's workspaces started."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"serve" in words and words[-2].startswith(os.fsencode(tmp_path)):
            found.append(int(entry.parent.name))
    return found


@pytest.fixture
def server(runtime):
    """Start a server whose answers are the requests; return its process."""
    made = []

    def begin(idle=3600.0, connections=256, code=_SERVER):
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(idle), str(connections)],
            env={**os.environ, "PYTHONPATH": str(PROJECT)}, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        made.append(process)
        if idle == 3600:
            wait_for()
        return process

    yield begin
    for process in made:
        process.kill()
        process.communicate()


def connected():
    """Return a connection to the resident that has sent nothing yet."""
    found = address.connect(address.path(), 60)
    assert found is not None
    return found[0]


def request(*parts):
    """Return a request as bytes."""
    return wire.pack([b"", os.fsencode(fingerprint()), *parts])


def test_the_first_query_leaves_a_process_that_answers_the_next(localembed, tmp_path):
    first = localembed("query", "zebra")
    assert (
        "A background process answers the next queries and exits after 15 idle minutes"
        in first.stderr
    )
    wait_for()
    second = localembed("query", "zebra", code=_CLIENT)
    assert (second.returncode, second.stdout) == (first.returncode, first.stdout)
    assert second.stderr == "IMPORTED\n"
    localembed("serve", "--stop")
    assert localembed("query", "zebra").stderr == ""


@pytest.mark.parametrize("part", sampled([0, 1, 2], 3))
def test_every_form_of_answer_comes_through(localembed, tmp_path, part):
    notes = tmp_path / "notes"
    questions = [
        (("query", "zebra", "--format", "jsonl"), {}),
        (("query", "zebra", "--mode", "text", "-k", "1"), {}),
        (("query", "unheard", "--mode", "text"), {}),
        (("query", "unheard", "--mode", "text", "-q"), {}),
        (("query", "zebra", "--min-score", "1e9"), {}),
        (("query", "zebra", "--format", "context", "--budget", "1"), {}),
        (("query", "zebra", "-C", "2", "--explain"), {"COLUMNS": "47"}),
        (("query", "zebra"), {"cwd": notes}),
        (("query", "zebra", "-l"), {"cwd": notes}),
        (("query", "--like", "a.md", "--format", "vimgrep"), {"cwd": notes}),
        (("query", "--like", "nowhere.md"), {"cwd": notes}),
        (("query", "zebra"), {"LOCALEMBED_TOP_K": "1"}),
        (("query", "zebra"), {"LOCALEMBED_MODE": "bogus"}),
        (("query", "zebra"), {"LOCALEMBED_WORKSPACE": "../elsewhere", "cwd": notes}),
        (("query", "zebra", "--workspace", "../.localembed"), {"cwd": notes}),
        (("query", "--path", "--workspace", "zebra"), {}),
        (("query", ""), {}),
        (("query", "zebra", "--nonsense"), {}),
        (("query", "-qh"), {}),
        (("query", "zebra", "--workspace", tmp_path / "nowhere"), {}),
        (("query", "zebra", "--model", "tiny-bert"), {}),
        (("query", "zebra", "--at", "7"), {}),
    ][part::3]
    alone = [
        localembed(*question, LOCALEMBED_RESIDENT_MINUTES="0", **where)
        for question, where in questions
    ]
    localembed("query", "zebra")
    wait_for()
    for (question, where), expected in zip(questions, alone, strict=True):
        found = localembed(*question, **where)
        assert (found.returncode, found.stdout, found.stderr) == (
            expected.returncode, expected.stdout, expected.stderr,
        ), question  # fmt: skip


def test_colours_and_width_are_those_of_the_clients_terminal(localembed, tmp_path):
    def on_a_terminal(**env):
        master, slave = os.openpty()
        termios.tcsetwinsize(slave, (24, 51))
        done = localembed("query", "rotating zebra", stdout=slave, COLUMNS="", **env)
        os.close(slave)
        shown = b""
        with contextlib.suppress(OSError):  # Linux says so at the end
            while data := os.read(master, 1 << 16):
                shown += data
        os.close(master)
        assert done.returncode == 0
        return shown

    alone = on_a_terminal(LOCALEMBED_RESIDENT_MINUTES="0", VTE_VERSION="7000")
    localembed("query", "zebra")
    wait_for()
    assert on_a_terminal(VTE_VERSION="7000") == alone
    assert b"\x1b[" in alone
    assert b"\x1b]8;;file://" in alone
    for plain in ({"NO_COLOR": "1"}, {"TERM": "dumb"}, {"LOCALEMBED_COLOR": "never"}):
        assert b"\x1b" not in on_a_terminal(VTE_VERSION="7000", **plain)


def test_colours_in_a_pipe_are_what_the_client_asks_for(localembed):
    localembed("query", "zebra")
    wait_for()
    for variables in ({}, {"NO_COLOR": "1"}, {"LOCALEMBED_COLOR": "never"}):
        found = localembed("query", "zebra", "--color", "always", "-k", "1", **variables)
        alone = localembed("query", "zebra", "--color=always", "-k1", "--no-resident", **variables)
        assert "\x1b[" in found.stdout
        assert (found.stdout, found.stderr) == (alone.stdout, alone.stderr)
    assert "\x1b[" not in localembed("query", "zebra").stdout
    wrong = localembed("query", "zebra", LOCALEMBED_COLOR="blue")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr.startswith("Error: LOCALEMBED_COLOR is 'blue', but must be one of auto,")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux only")
@pytest.mark.parametrize("more", sampled([[], ["--no-resident"]], 2))
def test_an_answer_that_cannot_be_written_exits_with_5(localembed, tmp_path, more):
    localembed("query", "zebra")
    wait_for()
    with Path("/dev/full").open("w") as full:
        found = localembed("query", "zebra", *more, stdout=full)
    assert found.returncode == 5
    assert found.stderr.startswith("Error: The output cannot be written: No space left on device.")


@pytest.mark.parametrize(
    ("zone", "date", "code"),
    sampled([("EAST-14", "2026-06-02", 0), ("WEST11", "2026-06-01T02:00", 1)], 2),
)
def test_a_date_is_one_of_the_clients_time_zone(localembed, tmp_path, zone, date, code):
    noon = datetime.datetime(2026, 6, 1, 12, tzinfo=datetime.UTC).timestamp()
    note = tmp_path / "notes" / "b.md"
    note.write_text("the zebra walks")
    os.utime(note, (noon, noon))
    localembed("index", "-q")
    localembed("query", "zebra", TZ="UTC")
    wait_for()
    question = ["query", "zebra", "--since", date, "--path", "b.md"]
    assert localembed(*question, TZ="UTC").returncode != code
    assert localembed(*question, TZ=zone).returncode == code


@pytest.mark.parametrize("encoding", sampled(["latin-1", "ascii", "utf-16"], 3))
def test_the_answer_has_the_encoding_of_the_clients_output(localembed, tmp_path, encoding):
    (tmp_path / "notes" / "c.md").write_text("Täst \N{EN DASH} naïve", "utf-8")
    localembed("index", "-q")
    localembed("query", "zebra")
    wait_for()
    out = tmp_path / "out"
    found = []
    for more in ([], ["--no-resident"]):
        with out.open("wb") as file:
            question = ["query", "naive", "--mode", "text", *more]
            done = localembed(*question, stdout=file, PYTHONIOENCODING=encoding)
        assert (done.returncode, done.stderr) == (0, "")
        found.append(out.read_bytes())
    assert found[0] == found[1]
    assert "naïve" in found[0].decode("utf-8" if encoding == "ascii" else encoding)


@pytest.mark.parametrize(
    "command",
    sampled([["query", "zebra"], ["index"], ["query", "zebra", "--no-resident"], ["doctor"]], 2),
)
@pytest.mark.parametrize("is_named", [True, False])
def test_a_current_folder_that_was_deleted_is_named(localembed, tmp_path, command, is_named):
    named = ["--workspace", tmp_path / ".localembed"] if is_named else []
    (tmp_path / "gone").mkdir()
    code = """
import os
os.rmdir(os.getcwd())
from localembed.cli.main import main
main()
"""
    done = localembed(*command, *named, cwd=tmp_path / "gone", code=code)
    assert (done.returncode, done.stdout) == (5, "")
    assert done.stderr.startswith("Error: The current folder does not exist any more. Go to")


def test_another_name_of_the_same_interpreter_is_the_same_code(monkeypatch):
    before = fingerprint(), address.path()
    monkeypatch.setattr(sys, "executable", f"{sys.executable}-by-another-name")
    assert (fingerprint(), address.path()) == before


def test_another_environment_has_a_resident_of_its_own(monkeypatch):
    before = address.path()
    monkeypatch.setattr(sys, "prefix", "/another/venv")
    assert address.path() != before


def test_a_root_that_is_no_longer_allowed_is_not_answered_from(localembed, tmp_path):
    inner = tmp_path / "inner"
    inner.mkdir()
    localembed("init", cwd=inner)
    localembed("index", tmp_path / "notes", "-q", cwd=inner)
    localembed("query", "zebra", cwd=inner)
    wait_for()
    code = """
import os, sys
from localembed.server import client, wire
from localembed.workspace.trust import distrust

facts = [os.getcwd(), os.getcwd(), "80", "----", "0", "zebra", "-q"]
words = [os.fsencode(fact) for fact in facts]
for _ in range(2):
    print(int(client.exchange(wire.QUERY, words)[1]))
    distrust()
"""
    assert localembed(cwd=inner, code=code).stdout.split() == ["0", "5"]


def test_ctrl_c_ends_a_query_that_waits_for_an_answer(localembed, tmp_path):
    localembed("query", "zebra")
    wait_for()
    (resident,) = residents(tmp_path)
    code = """
import os, signal, threading
signal.signal(signal.SIGINT, signal.default_int_handler)
threading.Timer(1, os.kill, (os.getpid(), signal.SIGINT)).start()
from localembed.__main__ import main
main()
"""
    os.kill(resident, signal.SIGSTOP)
    try:
        done = localembed("query", "zebra", code=code)
    finally:
        os.kill(resident, signal.SIGCONT)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Interrupted.\n")


def test_it_carries_out_nothing_but_queries(localembed, tmp_path):
    localembed("query", "zebra")
    wait_for()
    facts = [str(tmp_path), str(tmp_path), "80", "----", "0"]
    words = [os.fsencode(word) for word in (*facts, "rm", tmp_path / "notes")]
    assert client.exchange(b"rm", words) == [wire.REFUSED]
    reply = client.exchange(wire.QUERY, words)
    assert reply is not None
    assert reply[:2] == [b"answer", b"0"], "words of a query"
    assert localembed("query", "zebra", "-l").stdout.count("\n") == 2


def test_paths_are_relative_to_the_clients_folder(localembed, tmp_path):
    localembed("query", "zebra")
    wait_for()
    here = localembed("query", "zebra", "--format", "text", cwd=tmp_path / "notes")
    assert here.stdout.split()[1] == "b.md:1"


def test_a_new_version_is_seen_at_once_by_the_same_process(localembed, tmp_path):
    localembed("query", "zebra")
    wait_for()
    before = residents(tmp_path)
    (tmp_path / "notes" / "c.md").write_text("a giraffe")
    assert localembed("index", "-q").returncode == 0
    found = localembed("query", "giraffe", "--mode", "text", "--format", "paths")
    assert found.stdout.endswith("c.md\n")
    assert residents(tmp_path) == before
    assert len(before) == 1


@pytest.mark.parametrize("clients", sampled([8, 20], 2))
def test_many_clients_at_once_leave_one_process(localembed, tmp_path, clients):
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(localembed("query", "zebra")))
        for _ in range(clients)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {(answer.returncode, answer.stdout) for answer in answers} == {(0, answers[0].stdout)}
    wait_for()
    deadline = time.monotonic() + 60
    while len(residents(tmp_path)) > 1 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert len(residents(tmp_path)) == 1


def test_a_killed_process_is_not_missed_and_is_replaced(localembed, tmp_path):
    expected = localembed("query", "zebra").stdout
    wait_for()
    (victim,) = residents(tmp_path)
    os.kill(victim, signal.SIGKILL)
    while residents(tmp_path):
        time.sleep(0.05)
    assert localembed("query", "zebra").stdout == expected
    wait_for()
    assert residents(tmp_path) != [victim]


@pytest.mark.parametrize(
    ("arguments", "env"),
    [
        (("--no-resident",), {}),
        ((), {"CI": "true"}),
        ((), {"LOCALEMBED_RESIDENT_MINUTES": "0"}),
    ],
)
def test_no_process_is_left_where_none_is_wanted(localembed, tmp_path, arguments, env):
    done = localembed("query", "zebra", *arguments, **env)
    assert (done.returncode, done.stderr) == (0, "")
    assert residents(tmp_path) == []


def test_status_and_stop(localembed, tmp_path):
    assert localembed("serve", "--status").stdout == "No server is running\n"
    localembed("query", "zebra")
    wait_for()
    localembed("query", "zebra")
    shown = localembed("serve", "--status").stdout
    (resident,) = residents(tmp_path)
    assert shown.startswith(f"A server is running (process {resident})\n")
    assert str(tmp_path / ".localembed") in shown
    assert "tiny-static (static)" in shown
    status = json.loads(localembed("serve", "--status", "--json").stdout)
    assert status.keys() == {
        "running", "stopped", "pid", "workspaces", "models", "memory_bytes", "max_memory_bytes",
    }  # fmt: skip
    (workspace,) = status["workspaces"]
    assert workspace["folder"] == str(tmp_path / ".localembed")
    assert workspace.keys() == {"folder", "requests", "idle_seconds", "vector_bytes"}
    assert status["models"] == [{"name": "tiny-static", "engine": "static"}]
    assert status["max_memory_bytes"] == 1 << 30
    assert 1 << 20 < status["memory_bytes"] < 1 << 30
    assert localembed("serve", "--stop").stdout == "Stopped the server\n"
    assert residents(tmp_path) == []
    assert (
        localembed("serve", "--stop", "--json").stdout == '{"running": false, "stopped": false}\n'
    )


def test_status_and_stop_together_are_refused(localembed):
    found = localembed("serve", "--status", "--stop")
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr == "Error: Give either --status or --stop.\n"


def test_a_server_that_is_starting_is_stopped(localembed, tmp_path):
    assert localembed("query", "zebra").returncode == 0
    assert localembed("serve", "--stop").stdout == "Stopped the server\n"
    assert residents(tmp_path) == []
    assert not single.is_held(address.path())


def test_a_server_that_is_starting_is_waited_for(localembed, tmp_path):
    assert localembed("query", "zebra").returncode == 0
    assert json.loads(localembed("serve", "--status", "--json").stdout)["running"] is True


def test_one_process_answers_for_two_workspaces(localembed, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "c.md").write_text("a giraffe and a zebra")
    assert localembed("init", cwd=other).returncode == 0
    assert localembed("index", ".", "-q", cwd=other).returncode == 0
    expected = localembed("query", "zebra", "--no-resident", cwd=other).stdout
    localembed("query", "zebra")
    wait_for()
    assert localembed("query", "zebra", cwd=other).stdout == expected
    assert localembed("query", "zebra").stdout != expected
    status = json.loads(localembed("serve", "--status", "--json").stdout)
    folders = [entry["folder"] for entry in status["workspaces"]]
    assert folders == [str(tmp_path / ".localembed"), str(other / ".localembed")]
    assert status["models"] == [{"name": "tiny-static", "engine": "static"}]
    assert len(residents(tmp_path)) == 1


def test_it_ends_when_nobody_asks(server):
    process = server(idle=0.1)
    assert process.communicate(timeout=60)[0] == "True\n"
    assert process.returncode == 0
    assert not Path(address.path()).exists()
    assert not single.is_held(address.path())


def test_silent_clients_do_not_keep_it_from_ending(server):
    process = server(idle=2)
    wait_for()
    with connected():
        assert process.communicate(timeout=60)[0] == "True\n"


def test_nobody_waits_for_silent_and_dripping_clients(server):
    """An answer arrives while 40 others are connected, none of which has been served."""
    server()
    silent = [connected() for _ in range(20)]
    dripping = [connected() for _ in range(20)]
    message = request(b"late")
    for place in range(3):
        for connection in dripping:
            connection.sendall(message[place : place + 1])
        assert client.exchange(b"hello", [b"a"]) == [b"hello", b"a"]
    assert select.select([*silent, *dripping], [], [], 0)[0] == []
    for connection in dripping:  # each gets its answer once it has asked
        connection.sendall(message[3:])
        assert wire.receive(connection) == [b"late"]
    for connection in (*silent, *dripping):
        connection.close()


def test_a_request_has_one_deadline_for_all_its_bytes(server):
    server()
    with connected() as connection:
        message, begin = request(b"slow"), time.monotonic()
        with contextlib.suppress(OSError):
            for place in range(len(message)):
                connection.sendall(message[place : place + 1])
                if select.select([connection], [], [], 0.2)[0]:
                    break
        assert connection.recv(1) == b""
        assert 4 < time.monotonic() - begin < 30


def test_a_request_that_takes_long_delays_no_other(server):
    process = server()
    waiting = [connected() for _ in range(8)]
    for connection in waiting:
        connection.sendall(request(b"wait"))
    assert client.exchange(b"hello") == [b"hello"]
    assert client.exchange(wire.STOP) == [wire.STOPPING]
    process.communicate(timeout=60)  # although their threads never end
    for connection in waiting:
        connection.close()


def test_two_hundred_clients_at_once_are_all_answered(server):
    server()
    connections = [connected() for _ in range(200)]
    for place, connection in enumerate(connections):
        connection.sendall(request(b"%d" % place))
    for place, connection in enumerate(connections):
        assert wire.receive(connection) == [b"%d" % place]
        connection.close()


def test_the_oldest_silent_client_gives_way(server):
    server(connections=4)
    silent = [connected() for _ in range(6)]
    assert client.exchange(b"hello") == [b"hello"]
    assert [connection.recv(1) for connection in silent[:2]] == [b"", b""]
    for connection in silent:
        connection.close()


def test_requests_above_the_bound_are_refused(server):
    server(connections=4)
    waiting = [connected() for _ in range(4)]
    for connection in waiting:
        connection.sendall(request(b"wait"))
    replies = {tuple(client.exchange(b"hello") or ()) for _ in range(50)}
    assert (wire.REFUSED,) in replies
    for connection in waiting:
        connection.close()


def test_a_foreign_folder_gets_no_lock(runtime):
    (runtime / "localembed").mkdir(mode=0o755)
    assert not single.is_held(address.path())
    with pytest.raises(PermissionError):
        single.take(address.path())
    assert list((runtime / "localembed").iterdir()) == []


def test_a_client_that_only_stopped_sending_is_answered(server):
    server()
    with connected() as connection:
        connection.sendall(request(b"half"))
        connection.shutdown(socket.SHUT_WR)
        assert wire.receive(connection) == [b"half"]


def test_a_client_that_does_not_read_delays_no_other(server):
    server()
    large = [b"x" * (wire.MAX_REQUEST_BYTES - 1000)]
    deaf = [connected() for _ in range(3)]
    for connection in deaf:
        connection.sendall(request(b"large", *large))
    assert client.exchange(b"hello") == [b"hello"]
    for connection in deaf:
        connection.close()


def test_a_bug_in_an_answer_is_a_refusal(server):
    server()
    assert client.exchange(b"bug") == [wire.REFUSED]
    assert client.exchange(b"panic") == [wire.REFUSED]
    assert client.exchange(b"hello") == [b"hello"]


def test_a_second_one_ends_at_once(server, tmp_path):
    server()
    second = subprocess.run(
        [sys.executable, "-c", _SERVER, "3600", "256"],
        env={**os.environ, "PYTHONPATH": str(PROJECT)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert second.stdout == "False\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_signals_end_it_in_order(server, tmp_path, number):
    process = server()
    process.send_signal(number)
    assert process.communicate(timeout=60)[0] == "True\n"
    assert not Path(address.path()).exists()


_EARLY = """
import os, signal
from localembed.server import address

listen = address.listen

def stop(path):
    found = listen(path)
    os.kill(os.getpid(), signal.SIGTERM)
    return found

address.listen = stop
"""


def test_a_signal_that_comes_before_the_loop_runs_ends_it_in_order(server):
    process = server(idle=60.0, code=_EARLY + _SERVER)
    assert process.communicate(timeout=60)[0] == "True\n"
    assert not Path(address.path()).exists()


def test_another_code_gets_no_answer_and_ends_it(server, tmp_path, monkeypatch):
    process = server()
    monkeypatch.setattr(client, "fingerprint", lambda: "an older one")
    assert client.exchange(b"hello") == [wire.REFUSED]
    assert process.communicate(timeout=60)[0] == "True\n"


def test_a_process_that_dies_while_it_answers_is_no_answer(server, tmp_path):
    server()
    assert client.exchange(b"die") is None


@pytest.mark.parametrize(
    "nonsense",
    [
        b"",
        b"\0",
        b"\xff\xff\xff\xff",
        b"\0\0\0\4\0\0\0\x09",
        b"\0\0\0\0",
        (wire.MAX_REQUEST_BYTES + 1).to_bytes(4, "big") + b"x" * 100_000,
        os.urandom(5000),
    ],
    ids=["nothing", "half a length", "4 GiB", "wrong length", "empty", "too large", "random"],
)
def test_broken_requests_end_nothing(server, nonsense):
    server()
    with connected() as connection, contextlib.suppress(ConnectionError):
        connection.sendall(nonsense)
    assert client.exchange(b"hello") == [b"hello"]


@pytest.mark.parametrize("where", sampled(["folder", "word", "variable", "workspace"], 3))
def test_a_nul_in_a_request_ends_nothing(localembed, tmp_path, where):
    localembed("query", "zebra")
    wait_for()
    facts = [os.fsencode(tmp_path), os.fsencode(tmp_path), b"80", b"----", b"0"]
    message = {
        "folder": [b"/a\0b", *facts[1:], b"zebra"],
        "word": [*facts, b"zebra\0"],
        "variable": [*facts[:4], b"1", b"LOCALEMBED_MODE=\0", b"zebra"],
        "workspace": [*facts, b"zebra", b"--workspace", b"/a\0b"],
    }[where]
    assert client.exchange(wire.QUERY, message) == [wire.REFUSED]
    reply = client.exchange(wire.QUERY, [*facts, b"zebra"])
    assert reply is not None
    assert reply[:2] == [wire.ANSWER, b"0"]


def test_only_its_user_can_reach_the_socket(server, tmp_path, runtime):
    server()
    path = address.path()
    assert stat.S_IMODE(Path(path).stat().st_mode) == 0o600
    assert stat.S_IMODE((runtime / "localembed").stat().st_mode) == 0o700
    (runtime / "localembed").chmod(0o755)
    assert address.connect(path, 1) is None
    with pytest.raises(PermissionError, match="can be accessed by other users"):
        address.make_private(str(runtime / "localembed"))


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="takes another user")
def test_another_user_is_refused(server, tmp_path, runtime):
    server()
    runtime.chmod(0o755)
    (runtime / "localembed").chmod(0o777)
    Path(address.path()).chmod(0o666)
    path = address.path()
    done = subprocess.run(
        [sys.executable, "-c", _STRANGER, path],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "None\n", done.stderr


def test_without_unix_sockets_a_token_is_asked_for(runtime):
    (runtime / "localembed").mkdir(mode=0o700)
    path = str(runtime / "localembed" / "x.sock")
    listener, token = address.listen(path, unix=False)
    assert len(token) == 32
    assert stat.S_IMODE(Path(path).stat().st_mode) == 0o600
    connected = address.connect(path, 5, unix=False)
    assert connected is not None
    connection, said = connected
    accepted, _ = listener.accept()
    assert said == token
    assert address.is_same_user(accepted)
    for end in (connection, accepted, listener):
        end.close()
    assert address.connect(path, 1, unix=False) is None


@pytest.mark.parametrize("parts", [[], [b""], [b"a", b"", b"\xff" * 70_000]])
def test_messages_come_through_whole(parts):
    left, right = socket.socketpair()
    with left, right:
        sender = threading.Thread(target=wire.send, args=(left, parts))
        sender.start()
        assert wire.receive(right) == parts
        sender.join()


def test_half_a_message_is_none():
    left, right = socket.socketpair()
    with right:
        left.sendall(b"\0\0\0\x08\0\0\0\x01a")
        left.close()
        assert wire.receive(right) is None


def test_a_request_is_understood_as_it_was_said():
    parts = [b"/tmp/\xff", b"/home/me", b"80", b"x-xx", b"2", b"A=1", b"B=x=y", b"a=b"]
    assert requests.read_query(parts) == requests.QueryRequest(
        words=("a=b",),
        folder=os.fsdecode(b"/tmp/\xff"),
        home="/home/me",
        columns=80,
        terminals=(True, False),
        shows_links=True,
        is_plain=True,
        variables={"A": "1", "B": "x=y"},
    )


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [b"/", b"/", b"80", b"----"],
        [b"", b"/", b"80", b"----", b"0"],
        [b"here", b"/", b"80", b"----", b"0"],
        [b"/", b"/", b"wide", b"----", b"0"],
        [b"/", b"/", b"80", b"---", b"0"],
        [b"/", b"/", b"80", b"abcd", b"0"],
        [b"/", b"/", b"80", b"----", b"2", b"A=1"],
        [b"/", b"/", b"80", b"----", b"-1", b"A=1"],
        [b"/", b"/", b"80", b"----", b"1", b"A"],
    ],
)
def test_a_malformed_query_is_refused(parts):
    with pytest.raises(ValueError):  # noqa: PT011 - any message
        requests.read_query(parts)
