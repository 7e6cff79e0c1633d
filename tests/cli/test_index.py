"""`localembed index`: its report, its notices and what it refuses."""

from __future__ import annotations

import json
import os

import click
import pytest

from tests.cli.conftest import columns

INDEX_KEYS = {
    "run", "version", "model", "changed", "files", "chunks", "tokens", "bytes", "seconds",
    "stages", "skipped", "failures",
}  # fmt: skip


FILE_KEYS = {
    "seen", "added", "changed", "removed", "renamed", "unchanged", "skipped", "failed",
}  # fmt: skip


def test_index_says_what_it_did_the_first_time(cli, notes):
    (notes / "a.md").write_text("# A\n\nSome words.\n")
    (notes / "b.md").write_text("Other words.\n")

    first = cli("index", ".")

    assert first.parts == (
        0,
        "Run 1 in N s: 2 files added\n"
        "   2 chunks in the index: 2 embedded, 0 reused\n"
        "   N files/s overall; while embedding N chunks/s, N tokens/s\n"
        "   fake in fp32 on cpu, 0.0% padding\n"
        "   STAGES\n"
        "   BOTTLENECK\n",
        "",
    )


def test_index_says_that_nothing_changed(indexed, cli):
    again = cli("index")

    assert again.parts == (
        0,
        "Nothing changed: 2 files checked in N s, nothing embedded\n",
        "",
    )


def test_index_says_what_an_edit_cost(indexed, cli):
    (indexed / "keys.md").write_text("# Keys\n\nRotating api keys every week, says the rule.\n")

    edited = cli("index")

    assert edited.parts == (
        0,
        "Run 2 in N s: 1 file changed, 1 unchanged\n"
        "   2 chunks in the index: 1 embedded, 0 reused, 1 removed\n"
        "   N files/s overall; while embedding N chunks/s, N tokens/s\n"
        "   fake in fp32 on cpu, 0.0% padding\n"
        "   STAGES\n"
        "   BOTTLENECK\n",
        "",
    )


def test_index_names_a_file_that_failed_and_exits_with_3(indexed, cli):
    (indexed / "bad.txt").write_bytes(b"\xff\xfe\x00\xd8ab")  # UTF-16 with half a character

    failed = cli("index")

    assert failed.parts == (
        3,
        "Nothing changed: 3 files checked in N s, nothing embedded\n"
        "failed: bad.txt: cannot be decoded as utf-16-le: illegal UTF-16 surrogate at\n"
        "   byte 0\n",
        "",
    )


def test_index_counts_skipped_files_by_reason(indexed, cli):
    (indexed / "empty.md").touch()
    (indexed / "picture.bin").write_bytes(b"\0\1\2" * 99)
    (indexed / "paper.pdf").write_bytes(b"%PDF-1.7 nothing")
    (indexed / "link.md").symlink_to(indexed / "keys.md")
    (indexed / ".secret").write_text("x")

    lines = cli("index").out.splitlines()

    reasons = "1 hidden, 1 empty, 1 symbolic link, 1 no reader for PDF, 1 binary"
    assert lines == [
        "Nothing changed: 7 files checked in N s, nothing embedded",
        f"   skipped 5: {reasons}",
    ]


def test_index_says_on_stderr_what_it_could_not_give(cli, notes):
    (notes / "a.md").write_text("Some words.")

    asked = cli("index", ".", "--chunk-tokens", "500")
    quiet = cli("index", ".", "--chunk-tokens", "500", "-q")

    sentence = "Chunks of 500 tokens were requested, but model 'fake' reads at most 64, so chunks"
    assert asked.err == f"{sentence} have at most 64.\n"
    assert (quiet.code, quiet.err) == (0, "")


def test_index_json_has_the_documented_fields(indexed, cli):
    (indexed / "bad.txt").write_bytes(b"\xff\xfe\x00\xd8ab")

    (indexed / "empty.md").touch()

    result = cli("index", "--json")

    report = json.loads(result.out)
    assert result.err == ""
    assert set(report) >= INDEX_KEYS
    assert set(report["files"]) == FILE_KEYS
    assert set(report["chunks"]) == {"total", "embedded", "reused", "removed", "failed"}
    assert set(report["tokens"]) == {"embedded", "truncated"}
    assert [set(note) for note in report["failures"]] == [{"path", "reason"}]
    assert [set(note) for note in report["skipped"]] == [{"path", "reason"}]
    assert report["chunks"]["total"] == 2
    assert isinstance(report["seconds"], float)


def test_a_run_names_guessed_encodings_and_invalid_bytes(cli, notes):
    (notes / "umlaut.txt").write_bytes("Täst\n\nquokka umlaut".encode("cp1252"))
    (notes / "stray.txt").write_bytes("naïve, ".encode() + b"it\x92s")
    (notes / "plain.txt").write_text("naïve")

    result = cli("index", ".", "--json")

    notes_by_file = {
        entry.pop("path").rpartition("/")[2]: entry for entry in json.loads(result.out)["encodings"]
    }
    assert notes_by_file == {
        "umlaut.txt": {"encoding": "cp1252", "guessed": True, "bad_bytes": 0},
        "stray.txt": {"encoding": "utf-8", "guessed": False, "bad_bytes": 1},
    }


def test_the_report_says_what_was_guessed_and_replaced(cli, notes):
    (notes / "umlaut.txt").write_bytes("Täst\n\nquokka umlaut".encode("cp1252"))
    (notes / "stray.txt").write_bytes("naïve, ".encode() + b"it\x92s")

    shown = cli("index", ".").out

    assert "encoding of 1 file guessed: 1 cp1252\n" in shown
    assert "1 invalid byte replaced in 1 file: stray.txt\n" in shown


def test_no_line_of_a_large_report_is_wider_than_the_terminal():
    from localembed.cli.render.run_report import index_report
    from localembed.types.models import EngineUse
    from localembed.types.runs import ChunkCounts, FileCounts, RunReport, TokenCounts

    stages = ("recover", "walk", "plan", "read", "chunk", "open store", "reuse", "embed", "write")
    report = RunReport(
        run=1234,
        version=1234,
        model="fake",
        changed=True,
        files=FileCounts(*[12_345] * 8),
        chunks=ChunkCounts(*[123_456] * 5),
        tokens=TokenCounts(41_234_567, 0),
        bytes=1,
        seconds=1_234.5,
        stages=dict.fromkeys(stages, 123.4),
        busy={"read": 1.0, "embed": 1.0, "write": 1.0},
        engine=EngineUse("torch compiled", "cuda:10", "bf16", 262_144, 9, 10, 0),
        skipped=(),
        failures=(),
    )

    lines = click.unstyle(index_report(report)).splitlines()

    assert [line for line in lines if columns(line) > 80] == []


def test_index_of_a_path_that_is_not_there_exits_with_2(cli, own_home):
    result = cli("index", "nowhere")

    assert result.parts == (2, "", "Error: NOTES/nowhere does not exist.\n")


def test_nothing_to_index_exits_with_2(cli):
    result = cli("index")

    assert result.parts == (
        2, "", "Error: Nothing to index yet. Name a folder: localembed index ~/notes\n",
    )  # fmt: skip


def test_a_root_that_looks_gone_exits_with_5_and_keeps_its_rows(cli, notes, tmp_path):
    (notes / "a.md").write_text("Some words.")
    ws = tmp_path / "ws"
    cli("index", ".", "--workspace", ws)
    (notes / "a.md").unlink()

    refused = cli("index", "--workspace", ws)
    allowed = cli("index", "--workspace", ws, "--allow-mass-delete")

    assert refused.code == 5
    assert "refused: NOTES is suddenly empty (1 file before)." in " ".join(refused.out.split())
    assert "Run 2 in N s: 1 file removed\n" in allowed.out
    assert allowed.code == 0


def test_a_refused_root_with_a_strange_name_is_named_on_a_strict_terminal(run_cli, tmp_path):
    root = tmp_path / os.fsdecode(b"root\xff")
    root.mkdir()
    (root / "a.md").write_text("Some words.")
    run_cli("index", root, "--workspace", "ws")
    (root / "a.md").unlink()

    strict = {"PYTHONIOENCODING": "utf-8:strict"}
    refused = run_cli("index", "--workspace", "ws", env=strict)

    assert refused.returncode == 5, refused.stderr
    assert "root\\xff is suddenly empty" in " ".join(refused.stdout.split())


@pytest.mark.parametrize("more", [["--include", "*.md"], ["--hidden"], ["--no-ignore"]])
def test_options_of_roots_without_paths_exit_with_2(indexed, cli, more):
    result = cli("index", *more)

    assert (result.code, result.out) == (2, "")
    assert f"Name the root that {more[0]} should apply to" in result.err


def test_a_refused_deletion_stays_refused_until_it_is_allowed(cli, notes):
    for n in range(24):
        (notes / f"old{n}.md").write_text(f"Old note {n}.\n")
    cli("init")
    cli("index")
    for n in range(20):
        (notes / f"old{n}.md").unlink()
    for n in range(60):
        (notes / f"new{n}.md").write_text(f"New note {n}.\n")

    refused = [cli("index") for _ in range(3)]
    (notes / ".localembed" / "manifest.duckdb").unlink()
    refused.append(cli("index"))

    assert [run.code for run in refused] == [5, 5, 5, 5]
    assert "84 chunks in the index" in refused[0].out
    assert "still lacks 20 of the 24 files" in " ".join(refused[2].out.split())
    allowed = cli("index", "--allow-mass-delete")
    assert (allowed.code, "20 files removed" in allowed.out) == (0, True)
    assert cli("index").out.startswith("Nothing changed")
    assert not list((notes / ".localembed").glob("missing-*"))


def test_a_refused_deletion_is_over_when_the_root_is_removed(cli, notes):
    for n in range(24):
        (notes / f"old{n}.md").write_text(f"Old note {n}.\n")
    cli("init")
    cli("index")
    for n in range(20):
        (notes / f"old{n}.md").unlink()
    assert cli("index").code == 5

    assert cli("rm", ".").code == 0
    assert cli("index", ".").code == 0
    (notes / "old23.md").unlink()
    assert cli("index").code == 0
