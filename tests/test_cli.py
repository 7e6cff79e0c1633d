"""What a user at a terminal, and a script behind a pipe, get from every command."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from localembed.cli.main import COMMANDS, main
from localembed.cli.main import cli as group
from localembed.core.files import read_json, write_json
from tests.conftest import PROJECT, paragraphs
from tests.static_model import write_static

SUBCOMMANDS = {
    "models": [
        "add", "bundle create", "bundle install", "bundle verify", "list", "pull", "rm", "use",
        "verify",
    ],
    "versions": ["diff", "gc", "list", "restore", "tag"],
}  # fmt: skip
LEAVES = [
    (name, sub)
    for commands in COMMANDS.values()
    for name in commands
    for sub in SUBCOMMANDS.get(name, [""])
]
INDEX_KEYS = {
    "run", "version", "model", "changed", "files", "chunks", "tokens", "bytes", "seconds",
    "stages", "skipped", "failures",
}  # fmt: skip
FILE_KEYS = {
    "seen", "added", "changed", "removed", "renamed", "unchanged", "skipped", "failed",
}  # fmt: skip
HIT_KEYS = {
    "rank", "score", "path", "start_line", "end_line", "start", "end", "heading", "text",
    "chunk_id", "tokens", "similarity", "text_score", "vector_rank", "text_rank", "found_rank",
}  # fmt: skip
_NORMAL = (
    (r"(?m)^   (?:[a-z ]+ [\d.]+ s(?:, |$))+$|^   every stage under 0\.1 s$", "   STAGES"),
    (
        r"(?m)^   bottleneck: (?:reading|embedding|writing), busy \d+% of the time; .*$",
        "   BOTTLENECK",
    ),
    (r"[\d.,]+ (s\b|files/s|chunks/s|tokens/s)", r"N \1"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", "TIME"),
    (r"[\d.]+ (?:B|KiB|MiB|GiB)\b", "SIZE"),
)


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str

    @property
    def parts(self) -> tuple[int, str, str]:
        return self.code, self.out, self.err


@pytest.fixture
def cli(notes, fake, monkeypatch, capsys):
    """Run the whole command line in this process, from `notes`; seconds and sizes are masked."""
    monkeypatch.chdir(notes)

    def call(*arguments) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["localembed", *map(os.fspath, arguments)])
        handlers = {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGHUP)}
        try:
            with pytest.raises(SystemExit) as stopped:
                main()
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
        out, err = capsys.readouterr()
        return Outcome(stopped.value.code, masked(out, notes), masked(err, notes))

    return call


@pytest.fixture
def indexed(cli, notes):
    """Two notes, indexed, in a workspace of their folder."""
    (notes / "keys.md").write_text("# Keys\n\nRotating api keys every month.\n")
    (notes / "garden").mkdir()
    (notes / "garden" / "compost.txt").write_text("Compost needs air.\n")
    cli("init")
    assert cli("index").code == 0
    return notes


def masked(text: str, notes: Path) -> str:
    for pattern, shown in _NORMAL:
        text = re.sub(pattern, shown, text)
    return text.replace(str(notes), "NOTES")


def columns(line: str) -> int:
    """Return how many columns of a terminal a line takes."""
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in line)
    return len(line) + wide - sum(bool(unicodedata.combining(c)) for c in line)


# index


def test_index_says_what_it_did_the_first_time(cli, notes):
    (notes / "a.md").write_text("# A\n\nSome words.\n")
    (notes / "b.md").write_text("Other words.\n")

    first = cli("index", ".")

    assert first.parts == (
        0,
        "Run 1 in N s: files 2 added\n"
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
        "Nothing changed: 2 files looked at in N s, nothing embedded\n",
        "",
    )


def test_index_says_what_an_edit_cost(indexed, cli):
    (indexed / "keys.md").write_text("# Keys\n\nRotating api keys every week, says the rule.\n")

    edited = cli("index")

    assert edited.parts == (
        0,
        "Run 2 in N s: files 1 changed, 1 unchanged\n"
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
        "Nothing changed: 3 files looked at in N s, nothing embedded\n"
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
        "Nothing changed: 7 files looked at in N s, nothing embedded",
        f"   skipped 5: {reasons}",
    ]


def test_index_says_on_stderr_what_it_could_not_give(cli, notes):
    (notes / "a.md").write_text("Some words.")

    asked = cli("index", ".", "--chunk-tokens", "500")
    quiet = cli("index", ".", "--chunk-tokens", "500", "-q")

    sentence = "Chunks of 500 tokens are asked for; model 'fake' reads 64, so chunks have at most"
    assert asked.err == f"{sentence} 64.\n"
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


# query


def test_query_shows_place_heading_and_snippet(indexed, cli):
    found = cli("query", "rotating api keys", "-k", "1")

    assert re.sub(r"\d\.\d{3}", "SCORE", found.out) == (
        " 1 keys.md:1  SCORE\n   Keys\n   Rotating api keys every month.\n\n"
    )
    assert (found.code, found.err) == (0, "")


def test_query_json_has_exactly_the_documented_fields(indexed, cli):
    answer = json.loads(cli("query", "rotating api keys", "--json").out)

    assert set(answer) >= {"query", "mode", "version", "model", "seconds", "hits"}
    assert [set(hit) for hit in answer["hits"]] == [HIT_KEYS, HIT_KEYS]
    first = answer["hits"][0]
    assert {key: first[key] for key in ("rank", "path", "start_line", "end_line", "heading")} == {
        "rank": 1, "path": "NOTES/keys.md", "start_line": 1, "end_line": 3, "heading": "Keys",
    }  # fmt: skip
    text = (indexed / "keys.md").read_text()
    assert text[first["start"] : first["end"]] == first["text"]


def test_query_jsonl_is_one_hit_a_line(indexed, cli):
    lines = cli("query", "compost", "--format", "jsonl").out.splitlines()

    hits = [json.loads(line) for line in lines]
    assert [hit["rank"] for hit in hits] == [1, 2]
    assert [set(hit) for hit in hits] == [HIT_KEYS, HIT_KEYS]


def test_query_paths_names_each_file_once(cli, notes):
    (notes / "long.md").write_text(paragraphs(20))
    (notes / "compost.md").write_text("Compost needs air.")
    cli("index", ".")

    found = cli("query", "compost pword3x1 pword9x1", "--format", "paths")

    assert sorted(found.out.splitlines()) == ["NOTES/compost.md", "NOTES/long.md"]


def test_query_exits_with_1_when_nothing_is_found(indexed, cli):
    text = cli("query", "zebra", "--mode", "text")
    quiet = cli("query", "zebra", "--mode", "text", "-q")
    as_json = cli("query", "zebra", "--mode", "text", "--json")

    assert text.parts == (1, "", "Nothing found for: zebra\n")
    assert quiet.parts == (1, "", "")
    assert (as_json.code, json.loads(as_json.out)["hits"]) == (1, [])


def test_query_marks_the_words_when_there_is_colour(indexed, fake):
    coloured = CliRunner().invoke(group, ["query", "rotating keys", "-k", "1"], color=True)
    plain = CliRunner().invoke(group, ["query", "rotating keys", "-k", "1"])

    marked = [click.style(word, fg="yellow", bold=True) for word in ("Rotating", "keys")]
    assert f"   {marked[0]} api {marked[1]} every month.\n" in coloured.output
    assert "\x1b" not in plain.output
    assert click.unstyle(coloured.output) == plain.output


def test_query_escapes_control_characters_in_path_and_text(cli, notes):
    (notes / "a\x1b[2J\n.md").write_text(
        "Clears \x1b[2J the screen, rings \x07 the bell.\n" + "A plain line of text. " * 9
    )
    cli("index", ".")

    shown = cli("query", "screen", "-k", "1").out

    assert "a\\x1b[2J\\n.md:1" in shown
    assert "Clears \\x1b[2J the screen, rings \\x07 the bell." in shown


def test_query_escapes_control_characters_in_a_heading(cli, notes):
    (notes / "a.md").write_text("# Rings \x07 the bell\n\n" + "Some words. " * 9)
    cli("index", ".")

    shown = cli("query", "words").out

    assert "Rings" in shown
    assert "\x07" not in shown


def test_messages_escape_control_characters_of_their_arguments(indexed, cli):
    for arguments in (
        ("query", "zeb\x07ra", "--mode", "text"),
        ("index", "nowhere\x07"),
        ("rm", "garden\x07"),
        ("init", "--workspace", "made\x07"),
    ):
        result = cli(*arguments)
        assert "\x07" not in result.out + result.err, arguments


@pytest.mark.parametrize("heading", ["A very long heading " * 9, "日本語の見出し" * 9])
def test_no_line_of_a_hit_is_wider_than_the_terminal(cli, notes, heading):
    (notes / "a.md").write_text(f"# {heading}\n\n{heading} words\n")
    cli("index", ".")

    shown = cli("query", "words").out

    assert "…" in shown
    assert max(map(columns, shown.splitlines())) <= 80


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


# status, init, rm, models, version, help


def test_status_shows_what_is_indexed(indexed, cli):
    assert cli("status").parts == (
        0,
        "Workspace NOTES/.localembed\n"
        "Index     2 files, 2 chunks\n"
        "Model     fake\n"
        "Run       1, TIME\n"
        "Disk      SIZE\n"
        "Root      NOTES\n",
        "",
    )


def test_status_names_no_more_than_ten_roots(notes, cli):
    for number in range(12):
        (notes / f"root{number}").mkdir()
        (notes / f"root{number}" / "a.txt").write_text(f"note {number}")
    cli("index", *(f"root{number}" for number in range(12)), "-q")

    lines = cli("status").out.splitlines()

    assert [line[10:] for line in lines if line.startswith("Root")] == [
        f"NOTES/root{number}" for number in range(10)
    ]
    assert lines[-1] == "          and 2 more: status --json"
    assert len(json.loads(cli("status", "--json").out)["roots"]) == 12


def test_status_json_has_the_documented_fields(indexed, cli):
    shown = json.loads(cli("status", "--json").out)

    assert set(shown) >= {
        "workspace", "model", "table", "version", "files", "chunks", "roots", "disk_bytes",
        "running",
    }  # fmt: skip
    assert (shown["version"], shown["files"], shown["chunks"]) == (1, 2, 2)
    assert [root["path"] for root in shown["roots"]] == ["NOTES"]
    assert shown["running"] is None


def test_status_settings_shows_where_each_value_came_from(cli, notes, monkeypatch):
    cli("init")
    config = notes / ".localembed" / "config.toml"
    config.write_text(config.read_text() + "overlap = 8\n")
    monkeypatch.setenv("LOCALEMBED_TOP_K", "3")

    assert cli("status", "--settings").out == (
        "model             fake                  LOCALEMBED_MODEL\n"
        "preset            -                     default\n"
        "chunk_tokens      -                     default\n"
        "overlap           8                     .localembed/config.toml\n"
        "dim               -                     default\n"
        "vector_type       float16               default\n"
        "precision         auto                  default\n"
        "device            auto                  default\n"
        "engine            auto                  default\n"
        "batch_tokens      -                     default\n"
        "threads           -                     default\n"
        "max_file_size     SIZE              default\n"
        "top_k             3                     LOCALEMBED_TOP_K\n"
        "mode              hybrid                default\n"
        "keep_versions     10                    default\n"
        "resident_minutes  15                    default\n"
        "allow_network     False                 default\n"
    )
    settings = json.loads(cli("status", "--settings", "--json").out)["settings"]
    assert settings["top_k"] == {"value": 3, "from": "LOCALEMBED_TOP_K"}
    assert settings["overlap"] == {"value": 8, "from": "NOTES/.localembed/config.toml"}


def test_init_twice_says_that_it_is_there(cli, notes):
    assert cli("init").parts == (
        0, "Made the workspace NOTES/.localembed\n", "Next: localembed index\n",
    )  # fmt: skip
    assert cli("init").parts == (0, "The workspace NOTES/.localembed is already there\n", "")
    assert json.loads(cli("init", "--json").out) == {
        "workspace": "NOTES/.localembed", "created": False,
    }  # fmt: skip
    assert (notes / ".localembed").stat().st_mode & 0o777 == 0o700


def test_init_names_the_whole_path_of_a_workspace_given_as_a_relative_one(cli):
    made = json.loads(cli("init", "--workspace", "ws", "--json").out)

    assert made == {"workspace": "NOTES/ws", "created": True}


def test_rm_forgets_a_file_and_later_runs_leave_it_out(indexed, cli):
    gone = cli("rm", "garden/compost.txt")

    assert gone.parts == (0, "Forgot garden/compost.txt: 1 file, 1 chunk\n", "")
    assert cli("index").out.startswith("Nothing changed")
    assert "Root      NOTES --exclude /garden/compost.txt\n" in cli("status").out


def test_rm_forgets_a_whole_root(indexed, cli):
    assert cli("rm", ".").parts == (0, "Forgot .: 2 files, 2 chunks\n", "")
    assert "Root" not in cli("status").out
    assert cli("query", "keys").code == 1


def test_rm_counts_only_files_that_were_indexed(indexed, cli):
    (indexed / "picture.bin").write_bytes(b"\0\1\2" * 99)
    cli("index")

    assert cli("rm", ".").out == "Forgot .: 2 files, 2 chunks\n"


def test_rm_of_a_path_in_no_root_names_the_roots(indexed, cli, tmp_path):
    result = cli("rm", tmp_path / "elsewhere")

    assert (result.code, result.out) == (2, "")
    assert result.err.endswith("elsewhere is in no root of this workspace. Roots: NOTES\n")


@pytest.mark.parametrize("name", [b"bytes\xff.md", b"cut\xe2\x82.md", b"line\nend\n.md", b"s .md"])
def test_rm_leaves_a_strangely_named_file_out_for_good(cli, notes, name):
    (notes / "other.md").write_text("Other words.")
    (notes / os.fsdecode(name)).write_text("Some words.")
    cli("index", ".")

    cli("rm", os.fsdecode(name), "--json")

    report = json.loads(cli("index", "--json").out)
    assert (report["files"]["added"], report["files"]["skipped"]) == (0, 1)
    assert report["chunks"]["total"] == 1


def test_models_list_shows_what_is_here(cli, own_home):
    registry = own_home / "config" / "localembed" / "models.toml"
    absent = registry.read_text().split("[models.other]")[0].replace("models.fake", "models.absent")
    registry.write_text(registry.read_text() + absent.replace("fake-model", "nowhere"))

    shown = cli("models", "list")
    rows = json.loads(cli("models", "list", "--json").out)["models"]

    lines = shown.out.splitlines()
    assert lines[0] == "  MODEL                        DIM  TOKENS       SIZE  LICENCE"
    assert "● fake                          32      66          -  none" in lines
    assert "○ absent                        32      66          -  none" in lines
    assert lines[-2].startswith("4 of 17 models here (●)")
    assert lines[-1] == "2 of servers (↗): docs/remote.md"
    installed = {row["name"]: row["installed"] for row in rows}
    assert (installed["fake"], installed["absent"]) == (True, False)
    assert "all-MiniLM-L6-v2" in installed


def test_every_model_is_listed_within_the_terminal(cli):
    listed = cli("models", "list").out

    assert max(map(columns, click.unstyle(listed).splitlines())) <= 80


def test_version_is_one_line(cli):
    import localembed

    assert cli("--version").parts == (0, f"localembed {localembed.__version__}\n", "")


def test_help_names_every_command(cli):
    shown = cli("-h")

    assert (shown.code, shown.err) == (0, "")
    for heading, commands in COMMANDS.items():
        assert f"\n{heading}:\n" in shown.out
        for name in commands:
            assert re.search(rf"(?m)^  {name} ", shown.out), name


@pytest.mark.parametrize(("name", "sub"), LEAVES)
def test_every_command_has_help_json_and_quiet(cli, name, sub):
    shown = cli(name, *sub.split(), "-h")

    assert (shown.code, shown.err) == (0, "")
    assert shown.out.startswith(f"Usage: localembed {f'{name} {sub}'.strip()} [OPTIONS]")
    for option in ("--json", "-q, --quiet", "--workspace DIR"):
        assert option in shown.out
    assert max(map(columns, shown.out.splitlines())) <= 80


def test_every_group_is_known_to_these_tests():
    context = click.Context(group)
    commands = {name: group.get_command(context, name) for name in group.list_commands(context)}
    found = {n: sorted(leaves(c)) for n, c in commands.items() if isinstance(c, click.Group)}

    assert found == SUBCOMMANDS


def leaves(command: click.Group) -> list[str]:
    """Return the commands of a group, those of its groups behind their names."""
    return [
        f"{name} {leaf}".strip()
        for name, inner in command.commands.items()
        for leaf in (leaves(inner) if isinstance(inner, click.Group) else [""])
    ]


@pytest.mark.parametrize(("name", "sub"), LEAVES)
def test_every_command_takes_json_and_prints_one_object(indexed, cli, minilm, name, sub):
    measured = ["--model", "all-MiniLM-L6-v2", "--synthetic", "--quick", "--batch-tokens", "64"]
    (indexed / "questions.tsv").write_text("keys\tkeys.md\n")
    if name == "models":
        write_static(indexed / "tiny")
        cli("models", "add", "tiny", "--name", "gone")
        cli("models", "bundle", "create", "fake", "-o", "a.tar")
    arguments = {
        "query": ["keys"],
        "rm": ["garden"],
        "bench": measured,
        "serve": ["--status"],
        "show": ["keys.md"],
        "eval": ["questions.tsv"],
        "diff": ["1", "1"],
        "tag": ["good"],
        "restore": ["1"],
        "add": ["tiny"],
        "use": ["fake"],
        "pull": ["fake"],
        "models rm": ["gone"],
        "models verify": ["gone"],
        "bundle create": ["fake", "-o", "b.tar"],
        "bundle install": ["a.tar"],
        "bundle verify": ["a.tar"],
    }
    arguments = arguments.get(f"{name} {sub}", arguments.get(sub or name, []))

    result = cli(name, *sub.split(), *arguments, "--json", "-q")

    assert (result.code, result.err) == (0, "")
    assert isinstance(json.loads(result.out), dict)


# exit codes


@pytest.mark.parametrize("words", [(), *((name,) for name in SUBCOMMANDS)])
def test_a_group_without_a_command_shows_its_help(cli, words):
    result = cli(*words)

    assert (result.code, result.out) == (2, "")
    assert result.err.startswith(f"Usage: {' '.join(('localembed', *words))} [OPTIONS] COMMAND")
    assert "\nOptions:\n" in result.err


def test_an_unknown_command_exits_with_2_and_a_suggestion(cli):
    result = cli("indx")

    assert (result.code, result.out) == (2, "")
    assert "No such command 'indx'. Did you mean 'index'?" in result.err


def test_an_unknown_model_exits_with_4_and_the_nearest_name(cli, notes):
    (notes / "a.md").write_text("Some words.")

    result = cli("index", ".", "--model", "fakr")

    assert result.parts == (
        4,
        "",
        "Error: Model 'fakr' is not in models.toml. Did you mean fake? "
        "Run: localembed models list\n",
    )


@pytest.mark.parametrize("arguments", [("models", "list"), ("index", ".")])
def test_a_broken_registry_exits_with_4_and_names_the_file(cli, own_home, arguments):
    registry = own_home / "config" / "localembed" / "models.toml"
    registry.write_text("[models.x\n")

    result = cli(*arguments)

    assert (result.code, result.out) == (4, "")
    assert result.err.startswith(f"Error: {registry} cannot be read: ")


@pytest.mark.parametrize("file", ["head.json", "config.toml"])
@pytest.mark.parametrize("arguments", [("query", "keys"), ("status",), ("index",), ("rm", ".")])
def test_a_workspace_of_a_newer_format_exits_with_5(indexed, cli, file, arguments):
    raise_format(indexed / ".localembed" / file)

    result = cli(*arguments)

    assert (result.code, result.out) == (5, "")
    assert "has format 99; this localembed reads up to 1" in result.err


@pytest.mark.parametrize("arguments", [("query", "keys"), ("status", "--settings"), ("index",)])
def test_a_newer_format_is_named_before_a_setting_that_came_with_it(indexed, cli, arguments):
    config = indexed / ".localembed" / "config.toml"
    raise_format(config)
    config.write_text("from_the_future = 1\n" + config.read_text())

    result = cli(*arguments)

    assert result.code == 5, result.err


def raise_format(file: Path) -> None:
    if file.suffix == ".json":
        write_json(file, {**read_json(file), "format": 99})
        return
    text = re.sub(r"(format\s*=\s*)1\b", r"\g<1>99", file.read_text())
    assert "99" in text
    file.write_text(text)


def test_a_damaged_head_exits_with_5_and_says_what_to_do(indexed, cli):
    head = indexed / ".localembed" / "head.json"
    head.write_text(re.sub(r'"default": "\w+"', '"default": "chunks_gone"', head.read_text()))

    result = cli("query", "keys")

    assert result.code == 5, result.err
    assert "Run: localembed doctor --repair" in result.err
    assert cli("doctor", "--repair").code == 0
    assert cli("query", "keys").code == 0


def test_a_head_that_is_no_json_exits_with_5_and_index_mends_it(indexed, cli):
    head = indexed / ".localembed" / "head.json"
    head.write_text("{")

    assert cli("query", "keys").code == 5
    head.unlink()
    assert cli("index").code == 0
    assert cli("query", "keys").code == 0


def test_a_query_without_an_index_exits_with_5(cli):
    result = cli("query", "keys")

    assert (result.code, result.out) == (5, "")
    assert "Nothing is indexed in " in result.err
    assert "Run: localembed index FOLDER" in result.err


def test_index_of_a_path_that_is_not_there_exits_with_2(cli, own_home):
    result = cli("index", "nowhere")

    assert result.parts == (2, "", "Error: NOTES/nowhere does not exist.\n")


@pytest.mark.parametrize("text", ["", " \n\t"])
def test_an_empty_query_exits_with_2(indexed, cli, text):
    result = cli("query", text)

    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("Error: The query is empty.")


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
    assert "Run 2 in N s: files 1 removed\n" in allowed.out
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


def test_rm_of_a_file_with_a_strange_name_works_on_a_strict_terminal(run_cli, tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    name = os.fsdecode(b"a\xff.md")
    (root / name).write_text("Some words.")
    run_cli("index", root, "--workspace", "ws")

    strict = {"PYTHONIOENCODING": "utf-8:strict"}
    removed = run_cli("rm", root / name, "--workspace", "ws", env=strict)

    assert removed.returncode == 0, removed.stderr


def test_a_locked_workspace_exits_with_5(indexed, cli):
    holder = (
        "import pathlib, sys\n"
        "from localembed.store.layout import Layout\n"
        "from localembed.store.lock import writer_lock\n"
        "with writer_lock(Layout(pathlib.Path('.localembed'))):\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holder],
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout.readline() == b"held\n"
        locked = [cli("index"), cli("rm", "garden")]
        found = cli("query", "keys")
        process.stdin.close()

    for result in locked:
        assert (result.code, result.out) == (5, "")
        assert result.err.startswith(
            "Error: Another localembed is writing to NOTES/.localembed. Wait until it is done"
        )
    assert found.code == 0
    assert cli("index").code == 0


@pytest.mark.parametrize(
    "arguments",
    [("index", "."), ("query", "keys"), ("status",), ("rm", "."), ("init",)],
)
def test_a_workspace_below_a_regular_file_exits_with_5(cli, tmp_path, arguments):
    (tmp_path / "file").write_text("x")

    result = cli(*arguments, "--workspace", tmp_path / "file" / "ws")

    assert result.code == 5, result.err
    assert "Traceback" not in result.err


def test_a_command_that_cannot_work_makes_no_workspace(cli, tmp_path, notes):
    (notes / "a.md").write_text("Some words.")
    for arguments in ((), ("nowhere",), (".", "--model", "unknown"), (".", "--overlap", "x")):
        cli("index", *arguments, "--workspace", tmp_path / "ws")
        assert not (tmp_path / "ws").exists(), arguments


@pytest.mark.parametrize(
    ("arguments", "variables"),
    [
        (("index", ".", "--chunk-tokens", "many"), {}),
        (("index", "."), {"LOCALEMBED_CHUNK_TOKENS": "many"}),
        (("query", "keys"), {"LOCALEMBED_MODE": "best"}),
        (("query", "keys", "-k", "0"), {}),
        (("query", "two", "words"), {}),
        (("index", "--colour"), {}),
        (("index", ".", "--overlap", "900"), {}),
    ],
)
def test_a_wrong_argument_exits_with_2(indexed, cli, monkeypatch, arguments, variables):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    result = cli(*arguments)

    assert (result.code, result.out) == (2, "")
    assert "Traceback" not in result.err


def test_a_workspace_named_with_a_tilde_lies_in_the_home(cli, own_home, notes):
    cli("init", "--workspace=~/ws")

    assert (own_home / "ws" / "config.toml").is_file()
    assert not (notes / "~").exists()


def test_a_bug_exits_with_70_and_a_traceback(indexed, cli, monkeypatch):
    monkeypatch.setitem(COMMANDS["Trust"], "status", ("localembed.cli.main:_HELP", ""))

    result = cli("status")

    assert (result.code, result.out) == (70, "")
    assert "Traceback" in result.err
    assert result.err.endswith("this is a bug in localembed; please report the lines above.\n")


# pipes and signals


def test_a_closed_pipe_is_silent(run_cli, tmp_path, notes):
    for n in range(9):
        (notes / f"{n}.md").write_text(paragraphs(20, f"f{n}"))
    run_cli("index", notes, "--workspace", "ws")
    command = [sys.executable, "-m", "tests.fake_cli"]
    env = {**os.environ, "PYTHONPATH": str(PROJECT), "LOCALEMBED_MODEL": "fake"}

    with subprocess.Popen(
        [*command, "query", "words", "-k", "300", "--format", "jsonl", "--workspace", "ws"],
        cwd=tmp_path,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        first = process.stdout.readline()
        process.stdout.close()
        error = process.stderr.read()
        code = process.wait(60)

    assert json.loads(first)["rank"] == 1
    assert error == b""
    assert code != 1, "1 means that nothing was found"


@pytest.mark.parametrize(
    ("number", "code", "word"),
    [
        (signal.SIGINT, 130, "Interrupted"),
        (signal.SIGTERM, 143, "Terminated"),
        (signal.SIGHUP, 143, "Terminated"),
    ],
)
def test_a_stopped_index_says_so_and_the_next_run_completes(
    notes, tmp_path, run_cli, number, code, word
):
    for n in range(5):
        (notes / f"{n}.md").write_text(paragraphs(3, f"f{n}"))
    with subprocess.Popen(
        [sys.executable, "-m", "tests.slow_cli", "index", notes, "--workspace", "ws"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(PROJECT), "LOCALEMBED_MODEL": "fake"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr.readline() == "embedding\n"
        process.send_signal(number)
        out, err = process.communicate(timeout=60)

    assert (process.returncode, out) == (code, "")
    assert err.strip() == (
        f"{word}. What was indexed so far is kept; the same command goes on from there."
    )
    status = json.loads(run_cli("status", "--json", "--workspace", "ws").stdout)
    assert (status["files"], status["running"]) == (0, None)
    report = json.loads(run_cli("index", "--json", "--workspace", "ws").stdout)
    assert (report["files"]["added"], report["files"]["failed"]) == (5, 0)
    assert run_cli("query", "pword", "--workspace", "ws").returncode == 0


def test_a_run_in_progress_is_shown_by_status(notes, tmp_path, run_cli):
    (notes / "a.md").write_text("Some words.")
    with subprocess.Popen(
        [sys.executable, "-m", "tests.slow_cli", "index", notes, "--workspace", "ws"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(PROJECT), "LOCALEMBED_MODEL": "fake"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr.readline() == "embedding\n"
        shown = json.loads(run_cli("status", "--json", "--workspace", "ws").stdout)
        query = run_cli("query", "words", "--workspace", "ws")
        second = run_cli("index", "--workspace", "ws")
        process.terminate()
        process.communicate(timeout=60)

    assert shown["running"]["pid"] == process.pid
    assert (query.returncode, second.returncode) == (5, 5)
    assert f"(process {process.pid} since " in second.stderr


def test_stdout_carries_the_report_alone_and_progress_goes_to_the_terminal(
    notes, tmp_path, own_home
):
    pty, termios = pytest.importorskip("pty"), pytest.importorskip("termios")
    for n in range(5):
        (notes / f"{n}.md").write_text(paragraphs(30, f"f{n}"))
    parent, child = pty.openpty()
    termios.tcsetwinsize(child, (24, 80))
    try:
        done = subprocess.run(
            [sys.executable, "-m", "tests.fake_cli", "index", notes, "--workspace", "ws"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(PROJECT), "LOCALEMBED_MODEL": "fake"},
            stdout=subprocess.PIPE,
            stderr=child,
            text=True,
            timeout=120,
            check=True,
        )
        shown, _, _ = select.select([parent], [], [], 5)
        progress = os.read(parent, 1 << 16).decode() if shown else ""
    finally:
        os.close(parent)
        os.close(child)

    assert done.stdout.startswith("Run 1 in ")
    assert "\r" not in done.stdout
    assert "chunks" in progress


def test_nothing_but_the_report_is_printed_without_a_terminal(run_cli, notes):
    (notes / "a.md").write_text("Some words.")

    done = run_cli("index", notes)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Run 1 in ")
    assert "\r" not in done.stdout
    assert "\x1b" not in done.stdout


def test_what_libraries_warn_of_is_for_developers(tmp_path):
    program = (
        "import sys, warnings\n"
        "from localembed.cli import main as entry\n"
        "carry_out = entry.run\n"
        "def run(command, arguments):\n"
        "    warnings.warn('coroutine was never awaited', RuntimeWarning)\n"
        "    return carry_out(command, arguments)\n"
        "entry.run, sys.argv = run, ['localembed', '--version']\n"
        "entry.main()\n"
    )
    for options, count in (((), 0), (("-W", "default"), 1)):
        run = subprocess.run(
            [sys.executable, *options, "-c", program],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(PROJECT)},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        assert run.stderr.count("never awaited") == count


def test_a_signal_inside_of_a_destructor_is_not_lost(own_home):
    """Python prints what a destructor raises, and goes on."""
    script = (
        "import os, signal, time\n"
        "from localembed.cli import exit_codes, signals\n"
        "signals.listen()\n"
        "class Last:\n"
        "    def __del__(self):\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "        for _ in range(1000): pass\n"
        "try:\n"
        "    Last()\n"
        "    time.sleep(20)\n"
        "    print('went on')\n"
        "except exit_codes.Terminated:\n"
        "    print('ended')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=PROJECT
    )
    assert (done.stdout, done.stderr) == ("ended\n", "")
