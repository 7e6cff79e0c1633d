r"""Compare with peers: the same chunks, the same model, everybody in a process of their own.

    make bench-peers      # the peers' environment, once
    python -m benchmarks.run --corpus FOLDER --name "python3.11-doc 3.11.2" --chunks 2000 \
        --rounds 3 --out benchmarks/results/peers-<commit>.json

Rounds go around all contestants, so that what disturbs the machine hits all alike. What is timed
begins when the texts are read, the library is imported and the model is loaded, and ends when the
last vector is where the contestant keeps it; the whole process stands beside it. Every vector is
compared with sentence-transformers in fp32. Who fails is reported as failed, with the reason.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import publish
from benchmarks.peers import COMMON, CONTESTANTS, Row
from benchmarks.peers.corpus import Corpus, take, write

PROJECT = Path(__file__).parent.parent
PEERS_PYTHON = PROJECT / ".venv-peers" / "bin" / "python"

_QUIET = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "ANONYMIZED_TELEMETRY": "False",
    "HAYSTACK_TELEMETRY_ENABLED": "False",
    "LANGSMITH_TRACING": "false",
    "DO_NOT_TRACK": "1",
}


class ContestantError(Exception):
    """A contestant that gave no result; the message is the last thing that it said."""


@dataclass(frozen=True, slots=True)
class Course:
    """Where and how long contestants run."""

    folder: Path
    """Temporary, with the texts in it."""
    model: Path
    peers_python: Path
    limit: float
    """Seconds for one process."""

    def python(self, row: Row) -> Path:
        """Return the interpreter of a contestant's environment."""
        if row.own:
            return Path(sys.executable)
        if not self.peers_python.exists():
            message = "the peers' environment is missing. Run: make bench-peers"
            raise ContestantError(message)
        return self.peers_python

    def without_paths(self, line: str) -> str:
        """Return a message that can be published: no folder of this machine in it."""
        places = {
            self.folder: "TMP", self.peers_python.parent.parent: "VENV",
            Path(sys.prefix): "VENV", self.model: "MODEL", PROJECT: "PROJECT", Path.home(): "HOME",
        }  # fmt: skip
        for path in sorted(places, key=lambda path: -len(str(path))):
            line = line.replace(str(path), places[path])
        return line


class Watch:
    """Tells what share of the processor others took: a disturbed round shows by itself."""

    def __init__(self) -> None:
        """Begin."""
        self._begin = time.monotonic()
        self._all, self._own = _processor_seconds(), _own_seconds()

    def others(self) -> float | None:
        """Return it, as a part of all cores since the beginning; None where it is not told."""
        if self._all is None:
            return None
        spent = (_processor_seconds() or 0.0) - self._all - (_own_seconds() - self._own)
        room = (time.monotonic() - self._begin) * (os.cpu_count() or 1)
        return round(max(0.0, spent / room), 3)


def _processor_seconds() -> float | None:
    """Return how long all cores were busy since the start of the machine, stolen time included."""
    try:
        line = Path("/proc/stat").read_text().partition("\n")[0]
    except OSError:
        return None
    user, nice, system, _idle, _iowait, *rest = map(int, line.split()[1:9])
    return (user + nice + system + sum(rest)) / os.sysconf("SC_CLK_TCK")


def _own_seconds() -> float:
    """Return the time of this process and of all children that ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


@dataclass(slots=True)
class Entry:
    """What is known of one contestant so far."""

    name: str
    row: Row
    settings: Mapping[str, Any]
    rounds: list[dict[str, Any]] = field(default_factory=list)
    facts: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""

    def result(self) -> dict[str, object]:
        """Return the contestant's part of the result; one that failed has no speed."""
        shown: dict[str, object] = {
            "name": self.name, "label": self.row.label, "what": self.row.what,
            "error": self.error or None, "rounds": self.rounds,
            "facts": self.facts, "versions": self.versions,
        }  # fmt: skip
        if not self.error:
            for key in ("chunks_per_second", "process_seconds", "peak_rss_mb"):
                shown[key] = _spread([done[key] for done in self.rounds])
        return shown


def _spread(values: Sequence[float]) -> dict[str, float]:
    numbers = {"median": statistics.median(values), "min": min(values), "max": max(values)}
    return {name: round(number, 2) for name, number in numbers.items()}


def run_child(course: Course, row: Row, settings: Mapping[str, Any], scratch: Path) -> Any:  # noqa: ANN401 - JSON
    """Run one contestant once, in an empty folder that is also its home; return its result.

    Raises:
        ContestantError: it has no environment, ended with an error or took too long.
    """
    python = course.python(row)
    scratch.mkdir()
    order = {
        "module": row.module, "texts": str(course.folder / "texts.jsonl"),
        "model": str(course.model), "scratch": str(scratch), "settings": dict(settings),
        "packages": [*row.packages, *COMMON], "started": time.monotonic(),
    }  # fmt: skip
    task = scratch / "task.json"
    task.write_text(json.dumps(order))
    homes = {f"XDG_{kind}_HOME": str(scratch / kind) for kind in ("CONFIG", "CACHE", "DATA")}
    env = {**os.environ, **_QUIET, **homes, "HOME": str(scratch), "PYTHONPATH": str(PROJECT)}
    command = [str(python), "-m", "benchmarks.peers.child", str(task)]
    status, said = _finish(command, env, course.limit)
    if status:
        reason = last_error(said.decode(errors="replace"))
        message = course.without_paths(reason or f"ended with status {status} and no message")
        raise ContestantError(message)
    return json.loads((scratch / "result.json").read_text())


def last_error(said: str) -> str:
    """Return the last exception that was named, else the last line, else nothing."""
    lines = [line for line in said.splitlines() if line.strip()]
    named = [line for line in lines if re.match(r"[\w.]+(Error|Exception|Interrupt)\b", line)]
    return (named or lines or [""])[-1].strip()


def _finish(command: Sequence[str], env: Mapping[str, str], limit: float) -> tuple[int, bytes]:
    """Run a process to its end and return its status and what it said on stderr.

    Raises:
        ContestantError: it took too long; it is gone then, and what it started with it.
    """
    with subprocess.Popen(
        command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
    ) as run:
        try:
            _, said = run.communicate(timeout=limit)
        except subprocess.TimeoutExpired as error:
            os.killpg(run.pid, signal.SIGKILL)
            message = f"not done after {limit:.0f} s"
            raise ContestantError(message) from error
        except BaseException:
            os.killpg(run.pid, signal.SIGKILL)
            raise
    return run.returncode, said


def cosines(found: Path, reference: Path) -> dict[str, float] | None:
    """Compare all vectors with the reference; None if there are none.

    Raises:
        ContestantError: there are other vectors than texts, or some are not finite.
    """
    if not found.exists():
        return None
    ours, theirs = np.load(found), np.load(reference)
    if ours.shape != theirs.shape or not np.isfinite(ours).all():
        message = f"vectors of shape {ours.shape} where {theirs.shape} finite ones were due"
        raise ContestantError(message)
    lengths = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    cosine = np.einsum("ij,ij->i", ours, theirs) / lengths
    return {"worst": round(float(cosine.min()), 6), "mean": round(float(cosine.mean()), 6)}


def run_round(course: Course, entry: Entry, number: int, chunks: int) -> None:
    """Let one contestant run once; a failure stays with it and ends it."""
    scratch = course.folder / f"{entry.name}-{number}"
    watch = Watch()
    try:
        done = run_child(course, entry.row, entry.settings, scratch)
        others = watch.others()
        compared = cosines(scratch / "vectors.npy", course.folder / "reference" / "vectors.npy")
    except ContestantError as error:
        entry.error = str(error)
        _say(f"round {number}: {entry.name} failed: {error}")
        return
    entry.facts, entry.versions = done.pop("facts"), done.pop("versions")
    rate = chunks / done["seconds"]
    numbers = {name: value and round(value, 3) for name, value in done.items()}
    entry.rounds.append(
        {"chunks_per_second": round(rate, 2), **numbers, "others": others, "cosine": compared}
    )
    _say(f"round {number}: {entry.name} {rate:.1f} chunks/s, others {others}, cosine {compared}")


def tune(course: Course, entry: Entry) -> Any:  # noqa: ANN401 - JSON
    """Find an entry's settings before the rounds; return what was tried."""
    tuning = Row(entry.row.tuned_by, "", "", own=entry.row.own)
    watch = Watch()
    try:
        tried = run_child(course, tuning, {}, course.folder / f"{entry.name}-tuning")["facts"]
    except ContestantError as error:
        entry.error = f"tuning: {error}"
        return {"error": entry.error}
    entry.settings = tried["best"]
    tried["others"] = watch.others()
    _say(f"{entry.name}: {tried}")
    return tried


def compare(corpus: Corpus, names: Sequence[str], rounds: int, course: Course) -> dict[str, Any]:
    """Run the reference, the tuning and all rounds; return the result."""
    write(corpus, course.folder / "texts.jsonl")
    reference = run_child(course, CONTESTANTS["encode"], {}, course.folder / "reference")
    entries = [Entry(name, CONTESTANTS[name], CONTESTANTS[name].settings) for name in names]
    tuned = {entry.name: tune(course, entry) for entry in entries if entry.row.tuned_by}
    for number in range(1, rounds + 1):
        for entry in entries:
            if not entry.error:
                run_round(course, entry, number, len(corpus.texts))
    return {
        "corpus": corpus.describe(),
        "rounds": rounds,
        "reference": {"facts": reference["facts"], "versions": reference["versions"]},
        "tuning": tuned,
        "contestants": [entry.result() for entry in entries],
    }


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _command(arguments: argparse.Namespace) -> str:
    """Return the command with names in place of this machine's paths."""
    parts = ["python -m benchmarks.run --corpus FOLDER", f'--name "{arguments.name}"']
    parts += [f"--chunks {arguments.chunks} --rounds {arguments.rounds}"]
    if arguments.suffix:
        parts.append(f"--suffix {arguments.suffix}")
    if arguments.peers != list(CONTESTANTS):
        parts.append(f"--peers {','.join(arguments.peers)}")
    return " ".join(parts)


def _names(text: str) -> list[str]:
    names = text.split(",")
    unknown = sorted(set(names) - set(CONTESTANTS))
    if unknown:
        message = f"{', '.join(unknown)} not among {', '.join(CONTESTANTS)}"
        raise argparse.ArgumentTypeError(message)
    return names


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--corpus", type=Path, required=True, help="a folder of real text")
    parser.add_argument("--name", required=True, help="what to call it: package and version")
    parser.add_argument("--suffix", default="", help="only files that end so")
    parser.add_argument("--chunks", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", type=_names, default=list(CONTESTANTS), help="a,b,...")
    parser.add_argument("--peers-python", type=Path, default=PEERS_PYTHON)
    parser.add_argument("--limit", type=float, default=3600, help="seconds for one process")
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


def main() -> None:
    """Compare, print and write the result."""
    arguments = _arguments()
    # The children have sessions of their own: only an exception here ends them, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    corpus = take(arguments.corpus, arguments.name, arguments.chunks, arguments.suffix)
    with tempfile.TemporaryDirectory() as name:
        course = Course(Path(name), corpus.model, arguments.peers_python, arguments.limit)
        try:
            result = compare(corpus, arguments.peers, arguments.rounds, course)
        except ContestantError as error:
            message = f"the reference failed: {error}"
            raise SystemExit(message) from error
    finished = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    publish({"command": _command(arguments), "finished": finished, **result}, arguments.out)


if __name__ == "__main__":
    main()
