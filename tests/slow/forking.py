"""The real command line in many processes, each forked from one that has imported everything.

A process of its own takes a second to import what it needs; a forked one begins at once, which is
what makes hundreds of kills affordable. One line of JSON on stdin is one order, one line on stdout
its answer: `{"argv", "cwd", "env", "out", "err"}` starts a process and gives its pid, `{"pid"}`
gives its exit status, or null while it runs. Until it was asked for, a process that ended stays a
zombie, so its pid is nobody else's.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import time
import traceback
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tests import fake_cli

HEAVY = (
    "duckdb",
    "filelock",
    "lancedb",
    "pyarrow",
    "localembed.cli.index",
    "localembed.cli.query",
    "localembed.pipeline.commit",
    "localembed.pipeline.ingest",
    "localembed.pipeline.stage_threads",
    "localembed.pipeline.stages",
    "localembed.search",
    "localembed.store.lance.read_rows",
    "localembed.store.lance.table",
    "localembed.workspace.workspace",
)


@dataclass(frozen=True)
class Done:
    """How a process ended."""

    returncode: int
    stdout: str
    stderr: str


class Child:
    """A process that may still run."""

    def __init__(self, forks: Forks, pid: int, out: Path, err: Path) -> None:
        self._forks, self.pid, self._out, self._err = forks, pid, out, err
        self._code: int | None = None

    def send(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def poll(self) -> int | None:
        if self._code is None:
            self._code = self._forks.order(pid=self.pid)
        return self._code

    def wait(self, seconds: float = 120) -> Done:
        end = time.monotonic() + seconds
        while (code := self.poll()) is None:
            assert time.monotonic() < end, f"still running: {self.err()}"
            time.sleep(0.002)
        return Done(code, self._out.read_text(errors="surrogateescape"), self.err())

    def err(self) -> str:
        return self._err.read_text()

    def wait_until_stopped(self, seconds: float = 60) -> None:
        """Wait until it has been stopped by SIGSTOP."""
        end = time.monotonic() + seconds
        stat = Path(f"/proc/{self.pid}/stat")
        while stat.read_text().rpartition(") ")[2][0] != "T":
            assert self.poll() is None, f"it ended with {self.poll()}: {self.err()}"
            assert time.monotonic() < end
            time.sleep(0.002)


class Forks:
    """The other end of the orders. Threads take turns."""

    def __init__(self, requests: IO[str], answers: IO[str], folder: Path, lock) -> None:
        self._requests, self._answers, self._folder, self._lock = requests, answers, folder, lock
        self._count = 0

    def order(self, **facts):
        with self._lock:
            self._requests.write(json.dumps(facts) + "\n")
            self._requests.flush()
            return json.loads(self._answers.readline())

    def start(self, *arguments, cwd, env=None) -> Child:
        with self._lock:
            self._count += 1
            number = self._count
        out, err = (self._folder / f"{number}.{name}" for name in ("out", "err"))
        out.touch()
        err.touch()
        pid = self.order(
            argv=[os.fsdecode(argument) for argument in arguments],
            cwd=os.fspath(cwd),
            env={**os.environ, "LOCALEMBED_MODEL": "fake", **(env or {})},
            out=os.fspath(out),
            err=os.fspath(err),
        )
        return Child(self, pid, out, err)

    def run(self, *arguments, cwd, env=None) -> Done:
        return self.start(*arguments, cwd=cwd, env=env).wait()


def _child(order: dict[str, Any]) -> None:
    code = 99
    try:
        for target, name in ((0, os.devnull), (1, order["out"]), (2, order["err"])):
            flags = os.O_RDONLY if target == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            os.dup2(os.open(name, flags, 0o600), target)
        os.chdir(order["cwd"])
        os.environ.clear()
        os.environ.update(order["env"])
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.argv = ["localembed", *order["argv"]]
        fake_cli.main()
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 0
    except BaseException:  # noqa: BLE001 - the interpreter would print it too
        traceback.print_exc()
        code = 98
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _serve() -> None:
    for name in HEAVY:
        importlib.import_module(name)
    # What the library warns of cannot be here: nothing is under way while a process is forked.
    warnings.filterwarnings("ignore", message="lancedb fork support")
    print(json.dumps("ready"), flush=True)  # noqa: T201
    for line in sys.stdin:
        order = json.loads(line)
        if "pid" in order:
            pid, status = os.waitpid(order["pid"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        else:
            answer = os.fork()
            if answer == 0:
                _child(order)
        print(json.dumps(answer), flush=True)  # noqa: T201


if __name__ == "__main__":
    _serve()
