"""Nothing leaves this machine: sockets are refused, and no system call targets another host."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

from localembed.core import offline
from localembed.core.offline import SWITCHES, is_here
from tests.conftest import PROJECT, paragraphs
from tests.registry import write_registry

ELSEWHERE = "192.0.2.1"
TRACED = "trace=connect,sendto,sendmsg,sendmmsg"


@pytest.mark.parametrize("host", ["", "localhost", "127.0.0.1", "127.9.9.9", "::1", "::1%lo"])
def test_what_is_this_machine(host):
    assert is_here(host)


@pytest.mark.parametrize(
    "host",
    [ELSEWHERE, "huggingface.co", "0.0.0.0", "::", "fe80::1%eth0", "127.0.0.1.evil.org", "8.8.8.8",
     "::ffff:8.8.8.8", "localhost.evil.org", "127.1x", "ip6-localhost", "ip6-loopback",
     "localhost.", "127.1", "2130706433", "0x7f.0.0.1", "0177.0.0.1",
     "::127.0.0.1", "::ffff:0.0.0.0", "[::1]"],
)  # fmt: skip
def test_what_is_not(host):
    assert not is_here(host)


def test_loopback_behind_the_other_family_is_this_machine():
    assert is_here("::ffff:127.0.0.1")


@pytest.mark.parametrize("found", [[ELSEWHERE], ["127.0.0.1", ELSEWHERE], ["::1", "fe80::1"], []])
def test_no_name_is_this_machine_by_itself(monkeypatch, found):
    monkeypatch.setattr(offline, "_addresses", lambda _name: found)
    assert not is_here("localhost")


def test_a_name_is_looked_up_in_the_system():
    assert is_here("localhost")
    assert offline._addresses("localhost")
    with offline.guard.lifted():  # another test of this process may have started it
        assert offline._addresses("no-such-host.invalid") == []


def python(code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a separate process, as a guard cannot be removed again."""
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    "attempt",
    [
        f"socket.socket().connect(('{ELSEWHERE}', 443))",
        f"socket.socket().connect_ex(('{ELSEWHERE}', 443))",
        f"socket.create_connection(('{ELSEWHERE}', 443), 1)",
        f"socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('{ELSEWHERE}', 53))",
        f"socket.socket(type=socket.SOCK_DGRAM).sendmsg([b'x'], [], 0, ('{ELSEWHERE}', 53))",
        "socket.socket(socket.AF_INET6).connect(('2001:db8::1', 443))",
        "socket.getaddrinfo('example.org', 443)",
        "socket.getaddrinfo(b'example.org', 443)",
        "socket.gethostbyname('example.org')",
        f"socket.gethostbyaddr('{ELSEWHERE}')",
        f"socket.getnameinfo(('{ELSEWHERE}', 443), 0)",
        "urllib.request.urlopen('http://example.org', timeout=1)",
        "asyncio.run(asyncio.open_connection('example.org', 443))",
        "__import__('httpx2').get('http://example.org', timeout=1)",
    ],
)
def test_every_way_out_of_python_is_refused(attempt):
    done = python(
        "import asyncio, socket, urllib.request\n"
        "from localembed.errors import OfflineError\n"
        "from localembed.core.offline import guard\n"
        "guard.start()\n"
        f"try:\n    {attempt}\n"
        "except BaseException as error:\n"
        "    print(type(error).__name__, len(guard.refused))\n"
    )

    assert done.stdout == "OfflineError 1\n", done.stderr


@pytest.mark.parametrize("watching", [True, False])
@pytest.mark.parametrize(
    "attempt",
    [
        f"socket.socket().connect(('{ELSEWHERE}', 443))",
        "socket.socket().connect(('localhost', 443))",
        "asyncio.run(asyncio.open_connection('localhost', 443))",
        f"socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('{ELSEWHERE}', 53))",
        "socket.getaddrinfo('vm', 443)",
        "socket.socket().connect(('0.0.0.0', 443))",
    ],
)
def test_a_thread_that_is_confined_reaches_this_machine_alone(attempt, watching):
    done = python(
        "import asyncio, socket\n"
        "from localembed.errors import OfflineError\n"
        "from localembed.core import offline\n"
        f"{'offline.guard.start()' if watching else ''}\n"
        "offline.guard.confine()\n"
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "socket.create_connection(server.getsockname(), 5)\n"
        "find = socket.getaddrinfo\n"
        f"moved = [(2, 1, 6, '', ('{ELSEWHERE}', 443))]\n"
        "socket.getaddrinfo = lambda h, *a, **k: moved if h == 'localhost' else find(h, *a, **k)\n"
        f"try:\n    {attempt}\n"
        "except BaseException as error:\n"
        "    print(type(error).__name__, len(offline.guard.refused))\n"
    )
    assert done.stdout == "OfflineError 1\n", done.stderr


def test_this_machine_can_be_reached(tmp_path):
    done = python(
        "import os, socket\n"
        "from localembed.core.offline import guard\n"
        "guard.start()\n"
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "socket.create_connection(('localhost', server.getsockname()[1]), 5)\n"
        f"os.chdir({str(tmp_path)!r})\n"
        "unix = socket.socket(socket.AF_UNIX); unix.bind('s'); unix.listen()\n"
        "socket.socket(socket.AF_UNIX).connect('s')\n"
        "print(guard.refused)\n"
    )

    assert done.stdout == "[]\n", done.stderr


def test_the_guard_is_lifted_for_what_was_told_to_go_online_and_no_longer():
    done = python(
        "import os, socket\n"
        "from localembed.core.offline import guard\n"
        "def attempt():\n"
        "    out = socket.socket(); out.settimeout(0.1)\n"
        f"    try:\n        out.connect(('{ELSEWHERE}', 443))\n"
        "    except Exception as error:\n"
        "        print(type(error).__name__, os.environ.get('HF_HUB_OFFLINE'))\n"
        "guard.start()\n"
        "with guard.lifted():\n    attempt()\n"
        "attempt()\n"
    )

    first, second = done.stdout.splitlines()
    assert (first.endswith(" None"), "OfflineError" in first) == (True, False), done.stderr
    assert second == "OfflineError 1"


def test_libraries_are_told_before_they_are_imported():
    """Check the libraries' own settings, as a misspelt name would go unnoticed."""
    done = python(
        "from localembed.embedding.engines.torch_model import prepare\n"
        "prepare()\n"
        "import os, huggingface_hub.constants as hub, transformers.utils.hub as transformers\n"
        "print(hub.HF_HUB_OFFLINE, hub.HF_HUB_DISABLE_TELEMETRY, hub.HF_HUB_DISABLE_UPDATE_CHECK,\n"
        "      hub.HF_HUB_DISABLE_IMPLICIT_TOKEN, transformers.is_offline_mode())\n"
    )

    assert done.stdout == "True True True True True\n", done.stderr


def test_every_command_runs_under_the_guard(real_cli, own_home):
    write_registry(own_home / "config", [])
    done = python(
        "import sys\n"
        "from localembed.cli import main\n"
        "from localembed.core.offline import guard\n"
        "sys.argv = ['localembed', '--version']\n"
        "try:\n    main.main()\n"
        "except SystemExit:\n    import os\n    print(guard.watching, os.environ['DO_NOT_TRACK'])\n"
    )

    assert done.stdout.splitlines()[-1] == "True 1", done.stderr


def test_doctor_proves_it(real_cli, own_home, tmp_path, tiny_models):
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "a.md").write_text("Rotate the keys every month.\n")
    model = {"LOCALEMBED_MODEL": "tiny-static"}
    real_cli("index", "-q", ".", cwd=notes, env=model)

    told = real_cli("doctor", "--offline", cwd=notes, env=model)
    found = json.loads(real_cli("doctor", "--offline", "--json", cwd=notes, env=model).stdout)

    assert told.returncode == 0, told.stdout
    assert "No problems found" in told.stdout
    verdicts = {finding["check"]: finding["verdict"] for finding in found["findings"]}
    assert verdicts == dict.fromkeys(
        ("guard", "switches", "extensions", "embedding", "query", "attempts", "sockets"), "ok"
    )
    assert real_cli("doctor", "--offline", "--deep", cwd=notes).returncode == 2


def test_doctor_tells_who_tried_to_leave(workspace, notes):
    """Use a separate process, as its guard would stay."""
    done = python(
        "import socket, sys\n"
        "from tests import fake_backend\n"
        "class Curious(fake_backend.FakeEmbedder):\n"
        "    def embed_query(self, text):\n"
        "        try:\n            socket.getaddrinfo('telemetry.example.org', 443)\n"
        "        except Exception:\n            pass\n"
        "        return super().embed_query(text)\n"
        "fake_backend.FakeEmbedder = Curious\n"
        "fake_backend.BACKENDS['fake'] = 'tests.fake_backend:FakeBackend'\n"
        "import localembed\n"
        "from localembed.workspace.workspace import Workspace\n"
        "from pathlib import Path\n"
        f"checkup = localembed.prove_offline(Workspace(Path({str(workspace.folder)!r})))\n"
        "for finding in checkup.findings:\n"
        "    print(finding.check, finding.verdict, *finding.paths)\n"
    )

    assert "attempts wrong telemetry.example.org" in done.stdout, done.stderr
    assert "query note" in done.stdout


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.skipif(sys.platform != "linux", reason="Linux only")
def test_no_system_call_is_aimed_elsewhere(real_cli, own_home, tmp_path, minilm):
    """Trace system calls, as Rust and C++ open sockets that Python never sees."""
    write_registry(own_home / "config", [])
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "a.md").write_text(paragraphs(3))
    trace = tmp_path / "trace"
    for arguments in (
        ("index", "."),
        ("query", "paragraph"),
        ("bench", "--quick", "--chunks", "8", "--lengths", "16", "--batch-tokens", "64"),
        ("doctor", "--deep"),
        ("doctor", "--offline"),
    ):
        done = subprocess.run(
            ["strace", "-f", "--seccomp-bpf", "-qq", "-A", "-o", trace, "-e", TRACED,
             sys.executable, "-m", "localembed", *arguments],
            cwd=notes, env={**os.environ, "PYTHONPATH": str(PROJECT)},
            capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip
        assert done.returncode == 0, (arguments, done.stderr)
    aimed = [line for line in trace.read_text().splitlines() if "AF_INET" in line]
    assert aimed == []


def test_the_switches_are_complete():
    assert {"HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "DO_NOT_TRACK"} <= SWITCHES.keys()
