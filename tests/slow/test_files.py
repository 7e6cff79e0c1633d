"""Files as nobody wants them: changing, countless, huge, too deep, with names that do harm."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
import time
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import pytest

from localembed.store.lance.disk_names import versions_on_disk
from tests.conftest import PROJECT, paragraphs
from tests.test_crash import assert_equals_clean_build
from tests.test_incremental import pass_clock_tick

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

MIB = 1 << 20


# Changing while they are read

OLD = paragraphs(40, "old")


def grow(path: Path) -> None:
    with path.open("a") as file:
        file.write("\n\nand more")


def shrink(path: Path) -> None:
    os.truncate(path, max(1, path.stat().st_size - 100))


def rewrite(path: Path) -> None:
    path.write_text(paragraphs(40, f"new{time.monotonic_ns() % 1000}"))


def replace(path: Path) -> None:
    other = path.with_suffix(".other")
    other.write_text(paragraphs(40, "put"))
    other.replace(path)


def change_when_it_is_read(monkeypatch, path: Path, change, times: int) -> list[int]:
    """Change a file between the look at its stat and the first byte; return what is counted."""
    real = os.fstat
    seen: list[int] = []

    def fstat(descriptor: int):
        status = real(descriptor)
        same = path.exists() and os.path.samestat(status, path.stat())
        # The second look of a read comes after it.
        if same and stat.S_ISREG(status.st_mode) and len(seen) < 2 * times:
            seen.append(descriptor)
            if len(seen) % 2:
                change(path)
        return status

    monkeypatch.setattr(os, "fstat", fstat)
    return seen


@pytest.mark.parametrize("change", [grow, shrink, rewrite])
def test_a_file_that_changes_once_is_read_again(workspace, notes, monkeypatch, tmp_path, change):
    path = notes / "a.md"
    path.write_text(OLD)
    with monkeypatch.context() as patched:
        assert not change_when_it_is_read(patched, path, change, 1)
        report = workspace.index()

    assert (report.exit_code, report.files.added) == (0, 1)
    assert_equals_clean_build(workspace, notes, tmp_path)


@pytest.mark.parametrize("change", [grow, shrink, rewrite])
def test_a_file_that_keeps_changing_keeps_its_rows_until_it_rests(
    workspace, notes, monkeypatch, tmp_path, change
):
    path = notes / "a.md"
    path.write_text(OLD)
    workspace.index()
    grow(path)
    with monkeypatch.context() as patched:
        change_when_it_is_read(patched, path, change, 100)
        report = workspace.index()

    assert report.exit_code == 3
    assert [note.reason for note in report.failures] == [
        "changed while it was read; the next run will retry it"
    ]
    assert workspace.query("oldword3x1", mode="text")
    report = workspace.index()
    assert (report.exit_code, report.files.changed) == (0, 1)
    assert_equals_clean_build(workspace, notes, tmp_path)


@pytest.mark.parametrize(
    ("change", "after"), [(Path.unlink, "removed"), (replace, "changed")], ids=["unlink", "replace"]
)
def test_a_file_whose_name_is_gone_while_it_is_read_is_never_mixed(
    workspace, notes, monkeypatch, tmp_path, change, after
):
    (notes / "stays.md").write_text("kept words")
    path = notes / "a.md"
    path.write_text(OLD)
    workspace.index()
    grow(path)
    with monkeypatch.context() as patched:
        change_when_it_is_read(patched, path, change, 1)
        report = workspace.index()

    if after == "removed":
        assert report.exit_code == 3
        assert [note.reason for note in report.failures] == [
            "cannot be read: No such file or directory"
        ]
        assert workspace.query("oldword3x1", mode="text"), "once gone is not yet deleted"
        report = workspace.index()
    assert (report.exit_code, getattr(report.files, after)) == (0, 1)
    assert_equals_clean_build(workspace, notes, tmp_path)


CHURN = """
import os, pathlib, random, sys
folder = pathlib.Path(sys.argv[1])
random.seed(3)
while True:
    path = folder / f"{random.randrange(12)}.md"
    match random.randrange(5):
        case 0:
            path.unlink(missing_ok=True)
        case 1 if path.exists():
            os.truncate(path, random.randrange(1, 9000))
        case 2 if path.exists():
            path.rename(folder / f"{random.randrange(12)}.md")
        case _:
            with path.open("a") as file:
                file.write(f"paragraph {random.random()} zebra\\n\\n" * 90)
"""


def test_a_folder_that_never_rests_is_indexed_when_it_does(workspace, notes, tmp_path):
    (notes / "stays.md").write_text("kept words")
    codes = []
    with subprocess.Popen([sys.executable, "-c", CHURN, notes]) as writer:
        try:
            while not list(notes.glob("?.md")):
                time.sleep(0.01)
            for _ in range(25):
                report = workspace.index()
                codes.append(report.exit_code)
                assert {note.reason.split(";")[0] for note in report.failures} <= {
                    "changed while it was read",
                    "cannot be read: No such file or directory",
                }
                hits = workspace.query("zebra kept", mode="text", top_k=1000)
                assert len({hit.chunk_id for hit in hits}) == len(hits) > 0
        finally:
            writer.kill()
    assert set(codes) <= {0, 3}
    workspace.index()
    assert_equals_clean_build(workspace, notes, tmp_path)


# Too many, too large


@dataclass(frozen=True)
class Measured:
    """How a process ended, and what it took."""

    returncode: int
    stdout: str
    stderr: str
    peak_mib: float
    cpu_seconds: float
    descriptors: int


@pytest.fixture
def measure(tmp_path):
    """Run the command line in a process of its own, and measure what it takes."""

    def run(*arguments, env=None, **options) -> Measured:
        out, err = tmp_path / "stdout", tmp_path / "stderr"
        with out.open("w") as stdout, err.open("w") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.fake_cli", *map(os.fspath, arguments)],
                cwd=tmp_path,
                env={
                    **os.environ,
                    "PYTHONPATH": str(PROJECT),
                    "LOCALEMBED_MODEL": "fake",
                    **(env or {}),
                },
                stdout=stdout,
                stderr=stderr,
                **options,
            )
            most, ended, peak = 0, 0, 0.0
            while not ended:
                most, peak = max(most, _descriptors(process.pid)), _peak_mib(process.pid) or peak
                time.sleep(0.02)
                ended, status, used = os.wait4(process.pid, os.WNOHANG)
        process.returncode = os.waitstatus_to_exitcode(status)
        return Measured(
            process.returncode,
            out.read_text(),
            err.read_text(),
            peak,
            used.ru_utime + used.ru_stime,
            most,
        )

    return run


def _peak_mib(pid: int) -> float:
    """Return a process's peak of memory; what wait4 gives begins with the peak of this process."""
    try:
        status = (Path("/proc") / str(pid) / "status").read_text()
    except OSError:
        return 0.0
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else 0.0


def _descriptors(pid: int) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - only their number
    except OSError:
        return 0


def test_a_hundred_thousand_tiny_files(workspace, notes, measure):
    for n in range(100):
        folder = notes / f"{n:02}"
        folder.mkdir()
        for m in range(1000):
            (folder / f"{m}.md").write_text(f"tiny {n} {m}")
    pass_clock_tick()

    first = measure("index", "--json", "--workspace", workspace.folder, notes)

    assert (first.returncode, first.stderr) == (0, "")
    report = json.loads(first.stdout)
    assert (report["files"]["added"], report["chunks"]["total"]) == (100_000, 100_000)
    table = workspace.layout.table(workspace.status().table)
    versions = len(versions_on_disk(table))
    again = measure("index", "--json", "--workspace", workspace.folder)
    report = json.loads(again.stdout)
    assert (again.returncode, report["files"]["unchanged"], report["bytes"]) == (0, 100_000, 0)
    for what, run in (("first", first), ("second", again)):
        print(  # noqa: T201
            f"{what}: {run.cpu_seconds:.0f} s of CPU, {run.peak_mib:.0f} MiB, "
            f"{run.descriptors} descriptors, {versions} versions of the table"
        )
    assert versions <= 3 * 100_000 / 2048 + 20
    assert max(first.descriptors, again.descriptors) < 64
    assert first.peak_mib < 900
    assert again.peak_mib < 500


def test_a_file_of_two_gigabytes_is_left_out_unless_it_is_wanted(workspace, notes, measure):
    huge = notes / "huge.txt"
    huge.touch()
    os.truncate(huge, 2 << 30)
    arguments = ("index", "--json", "--workspace", workspace.folder, notes)

    left_out = measure(*arguments)
    included = measure(*arguments, "--max-file-size", "4GiB")

    for run, reason in ((left_out, "over-size"), (included, "binary")):
        assert (run.returncode, run.stderr) == (0, "")
        skipped = json.loads(run.stdout)["skipped"]
        assert reason in json.dumps(skipped)
    print(f"{left_out.peak_mib:.0f} and {included.peak_mib:.0f} MiB")  # noqa: T201
    # The peak counts what the process had before it became another program.
    assert left_out.peak_mib < 1024, "it was read"
    assert included.peak_mib < 2048 + 300, "its bytes are held once"


def a_line(megabytes: int) -> str:
    """Return a line of words, all but alike."""
    block = " ".join(f"word{n}" for n in range(MIB // 8))[: MIB - 1] + " "
    return block * megabytes


@pytest.mark.parametrize("text", [a_line, lambda n: "x" * n * MIB], ids=["words", "one word"])
def test_a_line_of_megabytes_is_chunked_in_linear_time(workspace, notes, measure, text):
    """Only read and chunked: the rest grows with the number of chunks, whatever the lines are.

    `python -m benchmarks.one_line` goes up to 200 MB, with the real tokenizer.
    """
    seconds = {}
    for megabytes in (10, 40):
        (notes / "line.txt").write_text(text(megabytes))
        arguments = ("index", "--workspace", workspace.folder, notes, "--max-file-size", "1GiB")
        run = measure(*arguments, env={"STOP_AT": "chunked"})
        assert run.returncode == -9, run.stderr
        seconds[megabytes] = run.cpu_seconds
        print(f"{megabytes} MB: {run.cpu_seconds:.1f} s of CPU, {run.peak_mib:.0f} MiB")  # noqa: T201
    assert seconds[40] / seconds[10] <= 6


# Too deep, and names


def test_folders_nested_beyond_what_a_path_can_name(workspace, notes, forks, monkeypatch):
    name = "d" * 200
    monkeypatch.chdir(notes)
    for depth in range(40):
        Path(f"leaf{depth}.md").write_text(f"zebra leaf{depth}")
        Path(name).mkdir()
        os.chdir(name)
    os.chdir(notes)
    reached = next(n for n in range(40) if len(f"{notes}/{(name + '/') * (n + 1)}") > 4095)
    try:
        for changed in (True, False):
            done = forks.run("index", "--json", cwd=notes)
            report = json.loads(done.stdout)
            assert (done.returncode, done.stderr) == (3, "")
            assert (report["run"] is not None) == changed
            assert report["chunks"]["total"] >= reached
            # One folder stands for all below it; a file beside it may be a few bytes too deep.
            assert "cannot be listed: File name too long" in json.dumps(report["failures"])
            assert 1 <= len(report["failures"]) <= 2
        plain = forks.run("index", cwd=notes)
        assert "cannot be listed: File name too long" in plain.stdout
        # What lies too deep is unknown and not gone, and comes in once it can be named.
        (notes / name).rename(notes / "d")
        assert forks.run("index", cwd=notes).returncode == 3
        assert workspace.query(f"leaf{reached - 1}", mode="text")
    finally:
        shutil.rmtree(notes / name, ignore_errors=True)
        shutil.rmtree(notes / "d", ignore_errors=True)


NAMES = {
    "newline": b"line\nend\n.md",
    "quotes": b"quo'te\"`$(x).md",
    "invalid utf-8": b"bad\xff\xfe\xed\xa0\x80.md",
    "dashes": b"--help",
    "right to left": "\u202egnp.md".encode(),
    "escape": b"\x1b]0;title\x07\x1b[31mred.md",
    "255 bytes": b"n" * 252 + b".md",
    "255 bytes of 3": "\u65e5".encode() * 84 + b".md",
    "space": b" ",
    "percent": b"%s{0}*?[a].md",
    "backslash": b"back\\slash\\n.md",
}


def assert_harmless(shown: str) -> None:
    """No character may steer a terminal, turn its text around or forge a line."""
    odd = {c for c in shown if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")}
    assert odd <= {"\n"}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_a_strange_name_works_everywhere_and_is_shown_harmlessly(workspace, notes, forks, name):
    path = os.fsencode(notes) + b"/" + name

    def write(text: str) -> None:
        with open(path, "w") as file:  # noqa: PTH123 - a path of bytes
            file.write(text)

    def run(*arguments, code: int = 0) -> str:
        done = forks.run(*arguments, cwd=notes)
        assert (done.returncode, done.stderr) == (code, ""), arguments
        assert_harmless(done.stdout)
        stdout: str = done.stdout
        return stdout

    (notes / "other.md").write_text("other words")
    write("zebra text")
    run("index")
    write("zebra text changed")
    run("index")

    assert run("query", "zebra", "--mode", "text").count("\n") == 3
    piped = forks.run("query", "zebra", "--mode", "text", "-l", cwd=notes)
    assert os.fsdecode(name) in piped.stdout, "a pipe gets it as it is"
    assert [hit["text"] for hit in json.loads(run("query", "--json", "zebra"))["hits"]][:1] == [
        "zebra text changed"
    ]
    assert "zebra text changed" in run("show", "--", name)
    assert run("versions", "diff", "1", "2").startswith("~ ")
    assert re.search(r"1 file, 1 chunk", run("rm", "--", name))
    run("query", "-q", "zebra", "--mode", "text", code=1)
    assert run("versions", "diff", "2", "3").startswith("- ")
    run("status")
    assert not workspace.index().changed, "it stays forgotten"
