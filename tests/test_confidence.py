"""How likely a hit is an answer: its features, the fit, and what is said where nothing is good."""

from __future__ import annotations

import json
import math
import stat
from dataclasses import replace

import numpy as np
import pytest

import localembed
from localembed.checkup import doctor
from localembed.errors import UsageError
from localembed.evaluation.calibration import MIN_QUESTIONS, calibrate, fit, reliability
from localembed.evaluation.questions import read_questions
from localembed.search.calibrations import calibration_of, write_calibrations
from localembed.search.confidence import FEATURES, Calibration, Field
from localembed.search.cut import cut
from localembed.search.ranking import Ranked
from localembed.store.lance.candidates import Candidate, StoredChunk
from localembed.types.queries import Query
from tests.conftest import paragraphs


def row(document, similarity, text=0.0, vector_rank=9, text_rank=9) -> Ranked:
    found = Candidate(0, b"c", document.encode(), similarity, text)
    return Ranked(found, similarity, vector_rank, text_rank)


def chunk(text, heading="", path=b"a.md") -> StoredChunk:
    return StoredChunk(b"c", "r", path, 0, len(text), 1, 1, heading, text, 9, 0, b"")


def features_of(query, ranked, place=0, text=""):
    found = Field(query, ranked).features(ranked[place], chunk(text))
    return dict(zip(FEATURES, found, strict=True))


def test_what_only_a_longer_list_of_hits_finds_changes_nothing():
    few = [row("a", 0.8, 9.0, 1, 1), row("b", 0.6, 5.0, 50, None), row("c", 0.1, 4.0, None, 100)]
    more = [*few, row("d", 0.59, 0.0, 51, None), row("e", 0.0, 3.9, None, 101)]
    assert features_of("x", few) == features_of("x", more)
    assert features_of("x", more, 3)["lead"] == pytest.approx(0.59 - 0.8)


def test_a_hit_is_compared_with_other_documents_not_with_its_own_chunks():
    ranked = [row("a", 0.8, 12.0, 1, 2), row("a", 0.78, 20.0), row("b", 0.6, 4.0), row("c", 0.5)]
    found = features_of("two words", ranked)
    assert found["similarity"] == 0.8
    assert found["lead"] == pytest.approx(0.2)
    assert found["above"] == pytest.approx(0.8 - 0.55)
    assert found["text"] == pytest.approx(12 / 32)
    assert found["text_per_word"] == pytest.approx(12 / 2 / 10)
    assert found["text_lead"] == pytest.approx(8 / 26)
    assert found["text_above"] == pytest.approx(10 / 22)
    assert found["words"] == pytest.approx(math.log(2))
    assert (found["vector_rank"], found["text_rank"]) == (1, 1 / 2)
    assert found["same_file"] == pytest.approx(2 / 5)
    assert found["files"] == pytest.approx(math.log(3))
    assert found["near"] == 0
    assert found["lead_squared"] == pytest.approx(0.04)


def test_documents_that_are_as_close_are_counted():
    ranked = [row("a", 0.8), row("b", 0.75), row("c", 0.7), row("c", 0.71), row("d", 0.2)]
    assert features_of("x", ranked)["near"] == pytest.approx(math.sqrt(2))
    assert features_of("x", ranked, 4)["near"] == pytest.approx(math.sqrt(3))
    assert features_of("x", ranked, 4)["lead"] == pytest.approx(0.2 - 0.8)


def test_only_the_ten_best_others_count():
    ranked = [row("a", 0.9), *(row(f"d{n}", 0.5) for n in range(10)), row("z", 0.0)]
    assert features_of("x", ranked)["above"] == pytest.approx(0.4)
    assert features_of("x", ranked[:1])["above"] == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("query", "text", "share"),
    [
        ("rotating the keys", "Keys: a rotating one", 1),
        ("rotating the keys", "Keys are lost.", 1 / 2),
        ("the", "the", 1),
        ("the", "a", 0),
        ("parseConfig", "def parse_config(path)", 2 / 3),
    ],
)
def test_coverage_is_the_share_of_the_query_that_a_chunk_holds(query, text, share):
    found = features_of(query, [row("a", 0.5)], text=text)
    assert found["coverage"] == pytest.approx(share)


def test_confidence_is_the_logistic_of_the_weighted_features():
    weights = dict.fromkeys(FEATURES, 0.0)
    calibration = Calibration("m", "hybrid", 9, -1.0, {**weights, "similarity": 2.0})
    values = [0.5, *[3.0] * (len(FEATURES) - 1)]
    assert calibration.confidence(values) == pytest.approx(1 / 2)
    steep = replace(calibration, intercept=1e9)
    assert 0.999 < steep.confidence(values) <= 1


def test_the_fit_finds_the_weights_that_made_the_data():
    rng = np.random.default_rng(3)
    features = np.column_stack((rng.normal(2, 3, 20_000), rng.normal(0, 0.1, 20_000)))
    likely = 1 / (1 + np.exp(-(0.5 + features @ [0.8, -6.0])))
    right = (rng.random(20_000) < likely).astype(float)
    intercept, weights = fit(np.column_stack((features, np.ones(20_000))), right)
    assert intercept == pytest.approx(0.5, abs=0.1)
    assert weights == pytest.approx([0.8, -6.0, 0.0], abs=0.3)


def test_separable_data_have_finite_weights():
    features = np.linspace(-1, 1, 100)[:, None]
    intercept, weights = fit(features, (features[:, 0] > 0).astype(float))
    assert math.isfinite(intercept)
    assert 1 < weights[0] < 1000


def test_the_measures_of_reliability_by_hand():
    right = np.array([1.0, 0.0] * 50)
    perfect = reliability(right, right)
    assert (perfect.brier_skill, perfect.auroc, perfect.error) == (1.0, 1.0, 0.0)
    blind = reliability(np.full(100, 0.5), right)
    assert (blind.brier_skill, blind.auroc) == (0.0, 0.5)
    assert blind.error == pytest.approx(0.0)
    bold = reliability(np.where(right == 1, 0.9, 0.6), right)
    assert bold.auroc == 1.0
    assert bold.error == pytest.approx((0.1 + 0.6) / 2)
    assert bold.brier_skill == pytest.approx(1 - (0.01 + 0.36) / 2 / 0.25)
    assert [count for _, _, count in bold.bins] == [10] * 10


def topic(n: int) -> str:
    """Return a word of one file."""
    return "topic" + 3 * chr(ord("a") + n // 20) + chr(ord("a") + n % 20)


@pytest.fixture
def asked(workspace, notes):
    """Sixty files, and a question for each; those of the last fifteen are about other files."""
    lines = []
    for n in range(60):
        (notes / f"{n:02}.md").write_text(f"{topic(n)} {paragraphs(1, f's{n}')}")
        lines.append(f"{topic(n if n < 45 else n - 45)}\t{n:02}.md")
    (notes / "questions.tsv").write_text("\n".join(lines))
    workspace.index()
    return read_questions(notes / "questions.tsv")


def test_an_unknown_model_has_no_confidence_and_a_minimum_says_what_to_do(workspace, asked):
    (hit,) = workspace.query(topic(7), top_k=1)
    assert hit.confidence is None
    assert len(hit.features) == len(FEATURES)
    assert workspace.search(Query(topic(7))).good is None
    with pytest.raises(UsageError, match="localembed eval --calibrate QUESTIONS"):
        workspace.query(topic(7), min_confidence=0.5)


def test_a_calibration_of_your_own_questions_is_stored_and_used(workspace, asked):
    fitted = calibrate(workspace, asked, ("hybrid", "text"), Query(""), lambda: None)
    assert [entry.calibration.mode for entry in fitted] == ["hybrid", "text"]
    assert {entry.calibration.model for entry in fitted} == {"fake"}
    assert {entry.reliability.questions for entry in fitted} == {60}
    write_calibrations(workspace.layout, [entry.calibration for entry in fitted])
    assert stat.S_IMODE(workspace.layout.calibrations.stat().st_mode) == 0o600
    assert calibration_of(workspace.layout, "fake", "text") == fitted[1].calibration
    hits = workspace.query(topic(7), mode="text", top_k=5)
    assert all(0 < hit.confidence < 1 for hit in hits)
    assert workspace.query(topic(7), mode="text", min_confidence=1) == []
    kept = workspace.query(topic(7), mode="text", min_confidence=hits[0].confidence)
    assert kept[0].chunk_id == hits[0].chunk_id
    assert workspace.query(topic(7), mode="vector")[0].confidence is None
    assert workspace.query(like=f"{hits[0].chunk_id}", top_k=1)[0].confidence is None
    write_calibrations(workspace.layout, [replace(fitted[1].calibration, intercept=-50.0)])
    assert calibration_of(workspace.layout, "fake", "hybrid") == fitted[0].calibration
    assert workspace.search(Query(topic(7), "text")).good is False
    assert workspace.context(topic(7), mode="text", min_confidence=0.9) == ""


@pytest.mark.parametrize("content", ["", "{}", '{"calibrations": [{"model": 1}]}', "[]"])
def test_damaged_calibrations_are_left_out_and_found_by_the_doctor(workspace, asked, content):
    workspace.layout.calibrations.write_text(content)
    assert workspace.query(topic(7), top_k=1)[0].confidence is None
    (found,) = (f for f in doctor(workspace).findings if f.check == "calibrations")
    assert found.verdict == "wrong"
    repaired = doctor(workspace, repair=True)
    assert any("--calibrate QUESTIONS" in done for done in repaired.fixed)
    assert not workspace.layout.calibrations.exists()


def test_weights_that_are_not_finite_are_not_used(workspace, asked):
    bad = Calibration("fake", "text", 60, math.inf, dict.fromkeys(FEATURES, 1.0))
    write_calibrations(workspace.layout, [bad])
    assert workspace.query(topic(7), mode="text", top_k=1)[0].confidence is None


def test_too_few_questions_and_those_of_one_outcome_are_refused(workspace, asked):
    with pytest.raises(UsageError, match=f"needs {MIN_QUESTIONS} questions"):
        calibrate(workspace, asked[:9], ("text",), Query(""), lambda: None)
    easy = [asked[7]] * 60
    with pytest.raises(UsageError, match="60 are right"):
        calibrate(workspace, easy, ("text",), Query(""), lambda: None)


@pytest.mark.parametrize("value", [-0.1, 1.01, math.nan, True, "0.5"])
def test_an_impossible_minimum_is_refused(workspace, asked, value):
    with pytest.raises(UsageError, match="from 0 to 1"):
        workspace.query(topic(7), min_confidence=value)


def test_a_cut_keeps_the_hits_above_both_minimums(workspace, asked):
    found = workspace.search(Query(topic(7), "vector", top_k=3, per_file=0))
    hits = [replace(hit, confidence=c) for hit, c in zip(found.hits, (0.9, 0.2, 0.6), strict=True)]
    result = replace(found, hits=tuple(hits))
    assert [hit.confidence for hit in cut(result, None, 0.5).hits] == [0.9, 0.6]
    assert cut(result, math.inf, 0.1).hits == ()
    assert cut(result, None, None) == result


@pytest.fixture
def recipes(minilm, tmp_path):
    """Three short notes, with the real model."""
    folder = tmp_path / "kb"
    folder.mkdir()
    (folder / "keys.md").write_text(
        "# API keys\n\nRotate the api keys of the payment service every ninety days. Create the "
        "new key in the console, deploy it, then delete the old one.\n"
    )
    (folder / "backup.md").write_text(
        "# Backups\n\nThe database is saved every night, and the copies are kept for a month.\n"
    )
    (folder / "review.md").write_text("# Code review\n\nTwo people read each change.\n")
    workspace = localembed.open(folder)
    workspace.index()
    return workspace


@pytest.mark.parametrize("mode", ["hybrid", "vector", "text"])
def test_the_packaged_model_is_calibrated(recipes, mode):
    good = recipes.search(Query("how often are api keys rotated", mode))
    odd = recipes.search(Query("how do I bake banana bread with walnuts", mode))
    assert good.good is True
    assert good.hits[0].confidence > 0.5
    assert odd.good is False
    assert not odd.hits or odd.hits[0].confidence < 0.25
    assert recipes.query("bake banana bread with walnuts", mode=mode, min_confidence=0.5) == []


def test_the_command_line_says_that_nothing_good_was_found(recipes, run_cli):
    folder, real = recipes.folder.parent, {"LOCALEMBED_MODEL": "all-MiniLM-L6-v2"}
    done = run_cli("query", "--no-resident", "bake banana bread", cwd=folder, env=real)
    assert done.returncode == 0
    assert "Nothing good found: confidence 0." in done.stderr
    done = run_cli("query", "--no-resident", "bake banana bread", "--json", cwd=folder, env=real)
    found = json.loads(done.stdout)
    assert found["good"] is False
    assert 0 <= found["hits"][0]["confidence"] < 0.25
    strict = ("query", "--no-resident", "bake banana bread", "--min-confidence", "0.5")
    done = run_cli(*strict, cwd=folder, env=real)
    assert (done.returncode, done.stdout) == (1, "")
    assert "Nothing good found for: bake banana bread; the closest is " in done.stderr
