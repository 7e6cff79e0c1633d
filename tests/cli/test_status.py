"""`localembed status`: the index, its settings and a run in progress."""

from __future__ import annotations

import json
import re

from tests.conftest import paragraphs


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
    assert lines[-1] == "          and 2 more (status --json lists all)"
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
        "per_file          2                     default\n"
        "mode              hybrid                default\n"
        "commit_seconds    15                    default\n"
        "keep_versions     10                    default\n"
        "resident_minutes  15                    default\n"
        "resident_memory   SIZE               default\n"
        "allow_network     False                 default\n"
    )
    settings = json.loads(cli("status", "--settings", "--json").out)["settings"]
    assert settings["top_k"] == {"value": 3, "from": "LOCALEMBED_TOP_K"}
    assert settings["overlap"] == {"value": 8, "from": "NOTES/.localembed/config.toml"}


def test_a_run_in_progress_is_shown_by_status(notes, start_index, run_cli):
    (notes / "a.md").write_text("Some words.")
    process = start_index(batch_seconds=300)
    shown = json.loads(run_cli("status", "--json", "--workspace", "ws").stdout)
    query = run_cli("query", "words", "--workspace", "ws")
    second = run_cli("index", "--workspace", "ws")

    assert shown["running"]["pid"] == process.pid
    assert (query.returncode, second.returncode) == (5, 5)
    assert f"(process {process.pid} since " in second.stderr


def test_watch_follows_a_run_until_it_ends(notes, start_index, run_cli):
    for n in range(60):
        (notes / f"{n}.md").write_text(paragraphs(1, f"f{n}"))
    start_index(batch_seconds=0.05)
    watched = run_cli("status", "--watch", "--workspace", "ws")

    last = watched.stdout.partition("Workspace")[0].splitlines()[-1]
    numbers = [int(n) for n in re.findall(r"(\d+) of about", watched.stdout)]
    assert numbers == sorted(numbers)
    assert re.fullmatch(
        r"run 1: \d+ of about \d+ chunks, \d+ of 60 files read(, [\d.]+/s)?(, \d+ s left)?", last
    ), last
    assert "60 files, 60 chunks\n" in watched.stdout
    assert (watched.returncode, watched.stderr) == (0, "")
    assert "Running" not in watched.stdout


def test_watch_prints_an_object_a_line(notes, start_index, run_cli):
    for n in range(40):
        (notes / f"{n}.md").write_text(paragraphs(1, f"f{n}"))
    start_index(batch_seconds=0.05)
    watched = run_cli("status", "--watch", "--json", "--workspace", "ws")
    *running, last = [json.loads(line) for line in watched.stdout.splitlines()]
    assert running
    assert all(found["running"].get("chunks", 0) <= 40 for found in running)
    assert running[-1]["running"].keys() >= {"chunks_total", "chunks_per_second", "seconds_left"}
    assert (last["running"], last["chunks"]) == (None, 40)


def test_watch_ends_at_once_without_a_run(indexed, cli):
    assert cli("status", "--watch").out == cli("status").out
    assert cli("status", "--watch", "-q", "--json").out == cli("status", "--json").out
    assert cli("status", "--watch", "--settings").code == 2
