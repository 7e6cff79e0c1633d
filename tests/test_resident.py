"""The process that answers queries: found, started once, replaced, and never missed."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from localembed.server import address, client, resident, start, wire
from localembed.server.code_version import fingerprint
from localembed.server.resident import Answer, Request, _parse
from tests.conftest import PROJECT

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="needs Unix sockets")

_SERVER = """
import os, signal, sys
from pathlib import Path
from localembed.server.resident import Answer, serve

class Runner:
    def warm(self):
        pass

    def run(self, request):
        if request.arguments[0] == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        return Answer(0, " ".join(request.arguments).encode(), b"")

print(serve(Path(sys.argv[1]), Runner(), float(sys.argv[2])), flush=True)
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
    wire.send(connection, [b"", b"code", b"/", b"--", b"1", b"query"])
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


def workspace_of(tmp_path):
    return tmp_path / ".localembed"


def wait_for(tmp_path, *, running=True):
    deadline = time.monotonic() + 60
    while start.is_running(workspace_of(tmp_path)) is not running:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def residents(tmp_path):
    """Return the process ids of the residents of a workspace."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"serve" in words and os.fsencode(workspace_of(tmp_path)) in words:
            found.append(int(entry.parent.name))
    return found


@pytest.fixture
def server(runtime, tmp_path):
    """Start a server whose answers are the arguments; return its process."""
    made = []

    def begin(idle=3600.0):
        process = subprocess.Popen(
            [sys.executable, "-c", _SERVER, workspace_of(tmp_path), str(idle)],
            env={**os.environ, "PYTHONPATH": str(PROJECT)}, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        made.append(process)
        if idle == 3600:
            wait_for(tmp_path)
        return process

    yield begin
    for process in made:
        process.kill()
        process.communicate()


def test_the_first_query_leaves_a_process_that_answers_the_next(localembed, tmp_path):
    first = localembed("query", "zebra")
    assert (
        "A background process answers the next queries and exits after 15 idle minutes"
        in first.stderr
    )
    wait_for(tmp_path)
    second = localembed("query", "zebra", code=_CLIENT)
    assert (second.returncode, second.stdout) == (first.returncode, first.stdout)
    assert second.stderr == "IMPORTED\n"


def test_every_form_of_answer_comes_through(localembed, tmp_path):
    questions = [
        ("query", "zebra", "--format", "jsonl"),
        ("query", "zebra", "--mode", "text", "-k", "1"),
        ("query", "unheard", "--mode", "text"),
        ("query", ""),
        ("query", "zebra", "--nonsense"),
        ("query", "zebra", "--workspace", tmp_path / "nowhere"),
        ("query", "zebra", "--model", "tiny-bert"),
    ]
    alone = [localembed(*question, LOCALEMBED_RESIDENT_MINUTES="0") for question in questions]
    localembed("query", "zebra")
    wait_for(tmp_path)
    for question, expected in zip(questions, alone, strict=True):
        found = localembed(*question)
        assert (found.returncode, found.stdout, found.stderr) == (
            expected.returncode, expected.stdout, expected.stderr,
        )  # fmt: skip


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux only")
@pytest.mark.parametrize("more", [[], ["--no-resident"]])
def test_an_answer_that_cannot_be_written_exits_with_5(localembed, tmp_path, more):
    localembed("query", "zebra")
    wait_for(tmp_path)
    with Path("/dev/full").open("w") as full:
        found = localembed("query", "zebra", *more, stdout=full)
    assert found.returncode == 5
    assert found.stderr.startswith("Error: The output cannot be written: No space left on device.")


def test_it_carries_out_nothing_but_queries(localembed, tmp_path):
    localembed("query", "zebra")
    wait_for(tmp_path)
    answer = client.exchange(str(workspace_of(tmp_path)), ["rm", str(tmp_path / "notes")])
    assert answer is not None
    code, out, err = answer
    assert (code, out) == (b"2", b"")
    assert b"answers only queries" in err
    assert localembed("query", "zebra", "-l").stdout.count("\n") == 2


def test_paths_are_relative_to_the_clients_folder(localembed, tmp_path):
    localembed("query", "zebra")
    wait_for(tmp_path)
    here = localembed("query", "zebra", "--format", "text", cwd=tmp_path / "notes")
    assert here.stdout.split()[1] == "b.md:1"


def test_a_new_version_is_seen_at_once_by_the_same_process(localembed, tmp_path):
    localembed("query", "zebra")
    wait_for(tmp_path)
    before = residents(tmp_path)
    (tmp_path / "notes" / "c.md").write_text("a giraffe")
    assert localembed("index", "-q").returncode == 0
    found = localembed("query", "giraffe", "--mode", "text", "--format", "paths")
    assert found.stdout.endswith("c.md\n")
    assert residents(tmp_path) == before
    assert len(before) == 1


def test_twenty_clients_at_once_leave_one_process(localembed, tmp_path):
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(localembed("query", "zebra")))
        for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {(answer.returncode, answer.stdout) for answer in answers} == {(0, answers[0].stdout)}
    wait_for(tmp_path)
    deadline = time.monotonic() + 60
    while len(residents(tmp_path)) > 1 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert len(residents(tmp_path)) == 1


def test_a_killed_process_is_not_missed_and_is_replaced(localembed, tmp_path):
    expected = localembed("query", "zebra").stdout
    wait_for(tmp_path)
    (victim,) = residents(tmp_path)
    os.kill(victim, signal.SIGKILL)
    while Path(address.path_of(str(workspace_of(tmp_path)))).exists() and residents(tmp_path):
        time.sleep(0.05)
    assert localembed("query", "zebra").stdout == expected
    wait_for(tmp_path)
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
    assert localembed("serve", "--status").stdout.startswith("No server is running for ")
    localembed("query", "zebra")
    wait_for(tmp_path)
    assert localembed("serve", "--status").stdout.startswith("A server is running for ")
    assert localembed("serve", "--stop").stdout.startswith("Stopped the server for ")
    wait_for(tmp_path, running=False)
    assert (
        localembed("serve", "--stop", "--json").stdout == '{"running": false, "stopped": false}\n'
    )


def test_it_ends_when_nobody_asks(server, tmp_path):
    process = server(idle=0.1)
    assert process.communicate(timeout=60)[0] == "True\n"
    assert process.returncode == 0
    assert not Path(address.path_of(str(workspace_of(tmp_path)))).exists()


class FoundRunner:
    """Answers every request with the same word."""

    def warm(self):
        """Open nothing."""

    def run(self, _request, /):
        return Answer(0, b"found", b"")


def test_every_client_is_waited_for_as_long_as_the_first():
    """Of five clients the second is silent and the fourth breaks off; then nobody comes."""
    words = [fingerprint(), "/", "--", "1", "query"]
    ends = [socket.socketpair() for _ in range(5)]
    for place, (ours, _) in enumerate(ends):
        if place != 1:
            wire.send(ours, [b"token", *(word.encode() for word in words)])
    coming, waits = [theirs for _, theirs in ends], list[float]()

    class Listener(socket.socket):
        def settimeout(self, seconds):
            waits.append(seconds)

        def accept(self):
            if not coming:
                raise TimeoutError
            return coming.pop(0), None

    ends[3][0].close()
    with Listener() as listener:
        resident._serve_clients(listener, b"token", FoundRunner(), 900.0, 0.01)

    assert waits == [900.0] * 6
    for place in (0, 2, 4):
        assert wire.receive(ends[place][0]) == [b"0", b"found", b""]
        ends[place][0].close()
    assert wire.receive(ends[1][0]) is None
    ends[1][0].close()


def test_a_second_one_ends_at_once(server, tmp_path):
    server()
    second = subprocess.run(
        [sys.executable, "-c", _SERVER, workspace_of(tmp_path), "3600"],
        env={**os.environ, "PYTHONPATH": str(PROJECT)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert second.stdout == "False\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_signals_end_it_in_order(server, tmp_path, number):
    process = server()
    process.send_signal(number)
    assert process.communicate(timeout=60)[0] == "True\n"
    assert not Path(address.path_of(str(workspace_of(tmp_path)))).exists()


def test_another_code_gets_no_answer_and_ends_it(server, tmp_path, monkeypatch):
    process = server()
    monkeypatch.setattr(client, "fingerprint", lambda: "an older one")
    assert client.exchange(str(workspace_of(tmp_path)), ["query", "a"]) == [b""]
    assert process.communicate(timeout=60)[0] == "True\n"


def test_a_process_that_dies_while_it_answers_is_no_answer(server, tmp_path):
    server()
    assert client.exchange(str(workspace_of(tmp_path)), ["die"]) is None


def test_silent_and_broken_clients_do_not_hold_it_up(server, tmp_path, monkeypatch):
    server()
    path = address.path_of(str(workspace_of(tmp_path)))
    for nonsense in (b"", b"\xff\xff\xff\xff", b"\0\0\0\4\0\0\0\x09", b"\0\0\0\0"):
        connected = address.connect(path, 5)
        assert connected is not None
        connection, _ = connected
        connection.sendall(nonsense)
        connection.close()
    assert client.exchange(str(workspace_of(tmp_path)), ["query"]) == [b"0", b"query", b""]


def test_only_its_user_can_reach_the_socket(server, tmp_path, runtime):
    server()
    path = address.path_of(str(workspace_of(tmp_path)))
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
    Path(address.path_of(str(workspace_of(tmp_path)))).chmod(0o666)
    path = address.path_of(str(workspace_of(tmp_path)))
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
    parts = [b"", b"code", b"/tmp/\xff", b"x-", b"2", b"query", b"a=b", b"A=1", b"B=x=y"]
    code, request = _parse(parts)
    assert code == "code"
    assert request == Request(
        ("query", "a=b"), os.fsdecode(b"/tmp/\xff"), {"A": "1", "B": "x=y"}, (True, False)
    )
    assert Answer(0, b"", b"").code == 0
