"""`localembed files`: what is indexed, what is not and why."""

from __future__ import annotations

import json
import os

import pytest


@pytest.fixture
def more(indexed, cli):
    """Beside two notes, a longer one, one that fails, and several that are skipped."""
    (indexed / "long.md").write_text(
        "".join(f"# Part {n}\n\n{'word ' * 60}{n}\n\n" for n in range(9))
    )
    (indexed / "bad.txt").write_bytes(b"\xff\xfe\x00\xd8ab")
    (indexed / "empty.md").touch()
    (indexed / "id_rsa").write_text("key\n")
    (indexed / "a.bin").write_bytes(b"\0" * 9)
    (indexed / "node_modules").mkdir()
    assert cli("index").code == 3
    return indexed


def test_files_are_listed_with_their_chunks(more, cli):
    result = cli("files")

    assert (result.code, result.err) == (0, "")
    first, garden, keys, long, failed = result.out.splitlines()
    assert first == " CHUNKS PATH"
    assert (garden, keys) == ("      1 garden/compost.txt", "      1 keys.md")
    assert long.endswith(" long.md")
    assert failed.startswith("failed: bad.txt: cannot be decoded as utf-16-le")


def test_the_files_with_the_most_chunks_come_first(more, cli):
    lines = cli("files", "--by-chunks").out.splitlines()

    assert [line.split()[-1] for line in lines[1:4]] == ["long.md", "garden/compost.txt", "keys.md"]


def test_what_is_skipped_is_listed_with_its_reason(more, cli):
    result = cli("files", "--skipped")

    assert (result.code, result.err) == (0, "")
    *skipped, failed = result.out.splitlines()
    assert failed.startswith("failed: bad.txt: cannot be decoded as utf-16-le")
    assert skipped == [
        "a.bin: binary",
        "empty.md: empty",
        "id_rsa: secret (named like a private key)",
        "node_modules/: generated (installed packages)",
    ]


def test_paths_limit_the_list(more, cli):
    assert cli("files", "garden").out.splitlines()[1:] == ["      1 garden/compost.txt"]
    assert cli("files", "keys.md", "garden").out.count("\n") == 3
    assert cli("files", "id_rsa", "--skipped").out.startswith("id_rsa: secret")
    assert cli("files", "garden", "garden/compost.txt").out.count("compost") == 1


def test_the_list_is_one_object(more, cli):
    plain, walked = (
        json.loads(cli("files", *words, "--json").out) for words in ((), ("--skipped",))
    )

    assert plain["skipped"] is None
    assert plain["files"][0] == {
        "path": "NOTES/garden/compost.txt",
        "chunks": 1,
        "state": "indexed",
    }
    assert [note["path"] for note in plain["failures"]] == ["NOTES/bad.txt"]
    assert len(walked["skipped"]) == 4
    assert {**walked, "skipped": None} == plain


def test_nothing_to_list_exits_with_1(indexed, cli):
    assert cli("files", "--skipped").parts == (1, "", "Nothing is skipped\n")
    assert cli("files", "--skipped", "-q").parts == (1, "", "")
    (indexed / "new.md").write_text("New.\n")
    assert cli("files", "new.md").parts == (1, "", "Nothing is indexed there\n")


def test_without_an_index_the_next_step_is_named(cli, notes):
    assert cli("files").code == 5
    cli("init")

    assert cli("files").parts == (1, "", "Nothing is indexed yet. Run: localembed index FOLDER\n")


def test_a_path_in_no_root_exits_with_2(indexed, cli, tmp_path):
    result = cli("files", tmp_path)

    assert (result.code, result.out) == (2, "")
    assert "is in no root of this workspace" in result.err


def test_files_are_listed_without_a_manifest(indexed, cli):
    before = cli("files").out
    (indexed / ".localembed" / "manifest.duckdb").unlink()

    assert cli("files").out == before


def test_no_file_is_opened_and_no_model_loaded(more, cli, monkeypatch):
    real = os.open

    def guarded(path, *arguments, **options):
        assert not os.fsdecode(path).endswith((".md", ".txt", "id_rsa", ".bin")), path
        return real(path, *arguments, **options)

    monkeypatch.setattr(os, "open", guarded)

    assert cli("files", "--skipped").code == 0


def test_names_cannot_control_the_terminal(indexed, cli):
    (indexed / "a\x1b[31m.md").write_text("Words.\n")
    (indexed / "b\x1b[31m.md").touch()
    cli("index")

    assert "a\\x1b[31m.md" in cli("files").out
    assert "b\\x1b[31m.md: empty" in cli("files", "--skipped").out
