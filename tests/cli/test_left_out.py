"""What `index` says of noise and secrets that leave an index, and of the largest files."""

from __future__ import annotations

import json

import pytest

from localembed.pipeline import largest
from localembed.workspace import tables
from tests.conftest import paragraphs
from tests.noisy_repository import MARK, write_repository


@pytest.fixture
def repository(notes):
    return write_repository(notes)


def test_a_secret_that_was_indexed_is_named_and_freed_by_the_command_that_is_named(repository, cli):
    cli("init")
    cli("index", ".", "--no-ignore")

    result = cli("index", ".", "--ignore")

    text = " ".join(result.out.split())
    assert "5 files that were indexed before left the index: 2 secret, 2 generated, 1 data." in text
    assert "localembed index PATH --no-ignore" in text
    assert "config.py: secret (it contains a Slack token)" in text
    assert "id_rsa: secret (named like a private key)" in text
    assert "localembed versions gc --keep 0" in text
    assert holding(repository / ".localembed")
    assert cli("versions", "gc", "--keep", "0").code == 0
    assert holding(repository / ".localembed") == []
    again = json.loads(cli("index", "--json").out)
    assert again["left_out"] == []


def test_what_leaves_with_a_replaced_table_is_named(repository, cli, monkeypatch):
    cli("init")
    with monkeypatch.context() as old:
        old.setattr(tables, "SCHEMA_VERSION", 1)
        cli("index", ".", "--no-ignore")

    report = json.loads(cli("index", ".", "--ignore", "--json").out)

    assert (report["chunks"]["embedded"], len(report["left_out"])) == (0, 5)
    assert cli("versions", "gc", "--keep", "0").code == 0
    assert holding(repository / ".localembed") == []


def holding(folder) -> list[str]:
    """Return the files of a workspace that contain the word of the secrets."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return [
        path.name for path in files if MARK.lower() in path.read_bytes().lower().decode("latin-1")
    ]


def test_the_report_names_the_largest_files(notes, cli, monkeypatch):
    monkeypatch.setattr(largest, "_MIN_CHUNKS", 60)
    for n in range(39):
        (notes / f"note{n}.md").write_text(f"Note {n}.\n")
    (notes / "large.md").write_text(paragraphs(120))
    cli("init")

    text = " ".join(cli("index").out.split())

    assert "% of the chunks: large.md (to leave one out: localembed rm PATH)" in text
