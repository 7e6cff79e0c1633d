"""`localembed bench`: what it measures, keeps and refuses. Numbers are never asserted."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest

import localembed
from localembed import models
from localembed.bench.measure import Point, knee
from localembed.bench.sample import synthetic
from localembed.bench.sweep import save
from localembed.embedding import (
    EngineOptions,
    LoadContext,
    Profile,
    device_name,
    load_embedder,
    profile_key,
)
from localembed.embedding.profiles import ProfileStore
from tests import families
from tests.conftest import PROJECT
from tests.fake_backend import FakeTokenizer

_MAIN = "from localembed.cli.main import main; main()"
_WITHOUT_STORES = (
    "import sys; sys.modules.update(dict.fromkeys(('lancedb', 'duckdb', 'pyarrow'))); "
)


@pytest.fixture
def bench(tiny_models, tmp_path):
    """Run the command in a process of its own."""

    def run(*arguments, before=""):
        return subprocess.run(
            [sys.executable, "-c", before + _MAIN, "bench", *map(os.fspath, arguments)],
            env={**os.environ, "PYTHONPATH": str(PROJECT), "LOCALEMBED_MODEL": "tiny-bert"},
            cwd=tmp_path, capture_output=True, text=True, check=False, timeout=240,
        )  # fmt: skip

    return run


def point(batch_tokens, rate, **other):
    made = Point(
        engine="torch", device="cpu", precision="fp32", threads=2, sample="s", mean_tokens=100,
        batch_tokens=batch_tokens, chunks_per_second=rate, tokens_per_second=1, p50_ms=1, p95_ms=1,
        padding=0, host_bytes=1, device_bytes=None, share_of_matmul=None,
    )  # fmt: skip
    return replace(made, **other)


def test_the_knee_is_the_smallest_batch_near_the_best():
    points = [point(512, 50), point(1024, 97.5), point(2048, 100), point(4096, 98)]
    assert knee(points).batch_tokens == 1024
    assert knee(points[:1]).batch_tokens == 512


def test_a_sample_is_truncated_to_one_length():
    made = synthetic(10, 30, FakeTokenizer())
    assert [len(item) for item in made.ids] == [30] * 10
    equal = made.with_length(64)
    assert [len(item) for item in equal.ids] == [64] * 10
    assert equal.mean_tokens == 64


def test_a_sweep_runs_where_no_store_is_installed_and_is_saved(bench):
    done = bench(
        "--synthetic", "--quick", "--chunks", "40", "--batch-tokens", "256,512", "--save", "--json",
        "--lengths", "20,60", before=_WITHOUT_STORES,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    combinations = {(p["sample"], p["batch_tokens"]) for p in found["points"]}
    assert len(combinations) == len(found["points"]) == 4
    for row in found["points"]:
        assert row["chunks_per_second"] > 0
        assert row["p50_ms"] <= row["p95_ms"]
        assert row["share_of_matmul"] > 0
        assert row["padding"] == 0
    assert found["saved"]
    precision = found["points"][0]["precision"]
    key = profile_key("tiny-bert", device_name("cpu"), precision)
    kept = ProfileStore().recall(key)
    speed = round(found["knee"]["chunks_per_second"], 1)
    assert kept == Profile(batch_tokens=found["knee"]["batch_tokens"], chunks_per_second=speed)

    located = models.open_model("tiny-bert")
    options = EngineOptions(precision=precision, engine="torch")
    context = LoadContext(profiles=ProfileStore())
    loaded = load_embedder(located.spec, located.folder, options, context=context)
    assert loaded.use.batch_tokens == kept.batch_tokens


def test_the_table_and_the_chart_fit_a_terminal(bench):
    done = bench("--synthetic", "--quick", "--chunks", "20", "--batch-tokens", "64,128")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line for line in lines if len(line) > 80] == []
    assert sum(line.startswith("fused") for line in lines) == 4
    assert sum("← knee" in line for line in lines) == 1
    assert any(line.startswith("knee: ") for line in lines)


def test_own_files_are_the_sample(bench, tmp_path):
    (tmp_path / "docs").mkdir()
    for number in range(5):
        (tmp_path / "docs" / f"{number}.txt").write_text("words and words. " * 50 * (number + 1))
    done = bench("docs", "--quick", "--chunks", "12", "--batch-tokens", "256", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["sample"] == "your files"
    assert 2 < found["points"][0]["mean_tokens"] <= 120


def test_stages_are_measured_alone_and_the_slowest_is_named(bench, tmp_path):
    (tmp_path / "docs").mkdir()
    for number in range(12):
        (tmp_path / "docs" / f"{number}.md").write_text(
            f"# {number}\n\n" + "some words here. " * 90
        )
    done = bench("docs", "--stages", "--chunks", "20", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    names = [row["stage"] for row in found["stages"]]
    assert names == ["read", "clean", "chunk", "embed", "write"]
    rates = {row["stage"]: row["chunks_per_second"] for row in found["stages"]}
    assert found["slowest"] == min(rates, key=lambda stage: rates[stage])
    assert all(row["chunks"] > 0 for row in found["stages"])


def test_queries_are_measured_cold_and_warm(tiny_models, bench, tmp_path, monkeypatch):
    monkeypatch.setenv("LOCALEMBED_MODEL", "tiny-static")
    (tmp_path / "a.txt").write_text("how does this work? like a clock.")
    localembed.open(tmp_path).index()
    done = bench("--query", "--model", "tiny-static", "--workspace", tmp_path / ".localembed")
    assert done.returncode == 0, done.stderr
    assert [line.split(" (")[0].strip() for line in done.stdout.splitlines()[1:]] == [
        "cold",
        "warm",
    ]


@pytest.mark.skipif(
    importlib.util.find_spec("matplotlib") is None, reason="the extra [plot] is not installed"
)
@pytest.mark.parametrize(
    ("kind", "head"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("html", b"<!doctype html>")]
)
def test_a_plot_is_written(tmp_path, kind, head):
    from localembed.bench.plot import check_plot, write_plot

    path = tmp_path / f"sweep.{kind}"
    check_plot(path)
    write_plot([point(512, 50), point(1024, 90)], "a title", path)
    assert path.read_bytes().startswith(head)
    if kind == "html":
        loads = (b"<script", b" src=", b'href="http', b"@import")
        assert not any(mark in path.read_bytes() for mark in loads)


@pytest.mark.parametrize("given", [("--save",), ("--threads", "1"), ("--plot", "a.svg"), (".",)])
def test_what_queries_are_not_measured_with_is_refused(bench, given):
    done = bench("--query", *given)
    assert done.returncode == 2
    name = given[0] if given[0].startswith("-") else "PATHS"
    assert f"--query does not work with {name}." in done.stderr


def test_only_what_was_compared_is_kept(own_home):
    model = models.LocatedModel(replace(families.FAMILIES[0].spec(), name="m"), own_home, "id")
    book = ProfileStore()
    context = LoadContext(profiles=book)
    key = profile_key("m", device_name("cpu"), "fp32")
    book.keep(key, Profile(engine="openvino", batch_tokens=64, threads=3))

    save(model, [point(512, 50), point(1024, 100)], context)
    assert book.recall(key) == Profile("openvino", 1024, 3, 100)

    save(model, [point(512, 50, threads=1), point(512, 90)], context)
    assert book.recall(key) == Profile("openvino", 512, 2, 90)

    save(model, [point(512, 50, engine="openvino"), point(512, 90, threads=4)], context)
    assert book.recall(key) == Profile("torch", 512, 4, 90)
    assert book.speeds(["m", "other"]) == {"m": 90}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--batch-tokens", "0"), "not a list of positive integers"),
        (("--batch-tokens", "10,x"), "not a list of positive integers"),
        (("--batch-tokens", "999999999"), "half of the free memory"),
        (("--precision", "int8"), "'int8' is not one of auto, fp32"),
        (("--precision", "fp16"), "--precision fp16 needs a GPU"),
        (("--device", "cuda:9"), "--device cuda:9: torch finds"),
        (("--device", "gpu"), "must be auto, cpu"),
        (("--plot", "a.gif"), "must end in .png, .svg or .html"),
        (("--plot", "nowhere/a.svg"), "there is no folder"),
        (("--stages",), "--stages does not work with --synthetic"),
        (("--query",), "--query does not work with --synthetic"),
    ],
)
def test_what_cannot_be_measured_is_refused_at_once(bench, arguments, sentence):
    done = bench(
        "--synthetic", *arguments, before="import sys; sys.modules['transformers'] = None;"
    )
    assert done.returncode == 2, done.stderr
    assert sentence in done.stderr
    assert done.stdout == ""


def test_without_files_the_way_out_is_named(bench):
    done = bench("--quick")
    assert done.returncode == 2
    assert "--synthetic" in done.stderr


def test_vectors_of_a_static_model_need_no_torch(tiny_models):
    code = (
        "import sys, localembed; v = localembed.embed(['a few words'], model='tiny-static'); "
        "print(v.shape, 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    located = models.open_model("tiny-static")
    assert done.stdout.split() == ["(1,", f"{located.spec.dim})", "False"]
