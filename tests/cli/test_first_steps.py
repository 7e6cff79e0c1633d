"""The first minutes of a new user: an index of nothing, times, and what a refresh waited for."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest

from localembed.cli.render.run_report import index_report
from localembed.cli.render.text import local_time
from localembed.pipeline.counters import RunCounters
from localembed.types.models import EngineUse


@pytest.fixture
def only_a_pdf(cli, notes):
    (notes / "paper.pdf").write_bytes(b"%PDF-1.7\n\x00\xff\xfe binary")
    cli("init")
    return notes


def test_a_folder_without_any_text_is_not_unchanged(only_a_pdf, cli):
    for _ in range(2):
        found = cli("index")
        assert (found.code, found.err) == (0, "")
        lines = found.out.splitlines()
        assert lines[0].startswith("Nothing could be indexed: 1 file checked in N s, none with")
        assert "localembed index FOLDER" in found.out
        assert lines[-1].startswith("   skipped 1: 1 ")


@pytest.mark.parametrize("command", [("query", "words"), ("show", "."), ("query", "--like", ".")])
def test_a_query_of_an_index_without_any_text_says_why(only_a_pdf, cli, command):
    cli("index")

    found = cli(*command)

    assert (found.code, found.out) == (5, "")
    assert "Nothing of NOTES is in the index: no file there has text that can be read" in found.err
    assert "localembed files --skipped" in found.err


def test_an_empty_folder_is_said_to_be_empty(cli, notes):
    cli("init")

    assert "0 files checked" in cli("index").out


@pytest.fixture
def zone(monkeypatch):
    monkeypatch.setenv("TZ", "EAST-14")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_times_are_local_for_people_and_utc_in_json(indexed, cli, zone):
    at = json.loads(cli("versions", "list", "--json").out)["versions"][0]["at"]

    assert at.endswith("+00:00")
    assert local_time("2026-11-30T23:45:37+00:00") == "2026-12-01 13:45 EAST"
    assert " TIME " in cli("versions").out
    assert " TIME\n" in cli("status").out
    assert local_time("") == local_time("yesterday") == ""


def test_a_refresh_that_waited_for_the_model_says_so():
    counters = RunCounters()
    counters.add_seconds("load model", 9.0)
    counters.add_seconds("embed", 1.0)
    counters._overlapped = 10.0
    report = counters.report(run=1, version=1, model="fake", total=1)

    assert report.bottleneck == "load"
    assert report.busy == {"read": 0.0, "load": 0.9, "embed": 0.1, "write": 0.0}
    assert "bottleneck: loading, busy 90%; embedding 10%" in index_report(
        replace(report, engine=EngineUse("fused", "cpu", "fp32", 1, 1, 1, 0))
    )
