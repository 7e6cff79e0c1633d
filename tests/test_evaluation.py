"""`localembed eval`: the figures by hand, both kinds of questions, and what is printed."""

from __future__ import annotations

import json

import numpy as np
import pytest

from localembed.errors import UsageError
from localembed.evaluation import metrics
from localembed.evaluation.collection import home_of, lay_out
from localembed.evaluation.questions import Question, Target, read_collection, read_questions
from localembed.types.queries import SearchHit


def hit(path: str, start: int = 1, end: int = 9) -> SearchHit:
    return SearchHit(
        chunk_id="0", score=1.0, path=path, start_line=start, end_line=end, start=0, end=1,
        heading="", text="t", tokens=1, similarity=0.0, text_score=0.0, vector_rank=None,
        text_rank=None,
    )  # fmt: skip


def target(path: str, line: int | None = None, grade: int = 1) -> Target:
    return Target(frozenset([path]), line, grade)


def write_collection(folder, documents, queries, judgements):
    folder.mkdir(exist_ok=True)
    rows = [{"_id": key, "title": title, "text": text} for key, title, text in documents]
    (folder / "corpus.jsonl").write_text(
        "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    )
    (folder / "queries.jsonl").write_text(
        "".join(json.dumps({"_id": key, "text": text}) + "\n" for key, text in queries)
    )
    lines = ["query-id\tcorpus-id\tscore", *("\t".join(map(str, row)) for row in judgements)]
    (folder / "qrels.tsv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def collection(tmp_path):
    """Three documents and two questions."""
    documents = [
        ("a/1", "Keys", "rotating api keys every month"),
        ("..", "", "the zebra runs"),
        ("c", "Water", "boiling water and salt"),
    ]
    queries = [("q1", "rotating api keys"), ("q2", "zebra"), ("q3", "judged by nobody")]
    judgements = [("q1", "a/1", 1), ("q2", "..", 2), ("q2", "c", 0), ("q2", "gone", 1)]
    return write_collection(tmp_path / "tiny", documents, queries, judgements)


def test_ndcg_is_the_discounted_gain_over_the_best():
    assert metrics.ndcg([1, 0, 2], [2, 1], 10) == pytest.approx((1 + 2 / 2) / (2 + 1 / np.log2(3)))
    assert metrics.ndcg([2, 1], [1, 2], 10) == pytest.approx(1)
    assert metrics.ndcg([0] * 10 + [1], [1], 10) == 0
    assert metrics.ndcg([], [1], 10) == 0


def test_recall_and_reciprocal_rank():
    assert metrics.recall([0, 1, 0, 1], [1, 1, 1], 3) == pytest.approx(1 / 3)
    assert metrics.reciprocal_rank([0, 0, 1, 1], 10) == pytest.approx(1 / 3)
    assert metrics.reciprocal_rank([0, 0, 1], 2) == 0


def test_an_interval_holds_the_mean_and_gets_narrower():
    few = np.random.default_rng(1).random(30)
    many = np.tile(few, 16)
    narrow, wide = metrics.interval(many), metrics.interval(few)
    assert wide[0] < narrow[0] < many.mean() < narrow[1] < wide[1]
    assert metrics.interval(np.full(9, 0.25)) == (0.25, 0.25)


def test_a_document_has_one_place_with_its_best_chunk():
    question = Question("q", (target("b", grade=2), target("d")))
    hits = [hit("a"), hit("a"), hit("b"), hit("b"), hit("c"), hit("d")]
    assert question.gains(hits) == [0, 2, 0, 1]


def test_a_line_is_asked_for_chunk_by_chunk():
    question = Question("q", (target("a", line=12),))
    hits = [hit("a", 1, 9), hit("b", 10, 20), hit("a", 8, 14), hit("a", 12, 20), hit("a", 21, 30)]
    assert question.gains(hits) == [0, 0, 1, 0]


def test_the_question_itself_does_not_count():
    question = Question("q", (target("b"),), not_counted=frozenset("q"))
    assert question.gains([hit("q"), hit("b")]) == [1]


def test_the_file_of_the_questions_does_not_count(tmp_path):
    (tmp_path / "a.md").write_text("x")
    file = tmp_path / "q.tsv"
    file.write_text("where?\ta.md:1\nwho?\ta.md\n")
    for question in read_questions(file):
        assert question.gains([hit(str(file)), hit(str(tmp_path / "a.md"))]) == [1]


def test_a_questions_file_is_read(tmp_path):
    for name in ("a.md", "b:7"):
        (tmp_path / name).write_text("x")
    lines = ["# about", "", "where? \t a.md:12\tb:7", "how?\tb:7:3", "what\u2028now?\ta.md"]
    file = tmp_path / "q.tsv"
    file.write_text("\r\n".join(lines), "utf-8")
    first, second, third = read_questions(file)
    assert (first.text, [target.line for target in first.targets]) == ("where?", [12, None])
    assert second.targets[0].line == 3
    assert str(tmp_path / "b:7") in second.targets[0].paths
    assert third.text == "what\u2028now?"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("only a question", "q.tsv:1 must be a question, a tab, and a path"),
        ("q\tnowhere.md", "q.tsv:1 names nowhere.md, which is not a file below"),
        ("q\ta.md:0", "q.tsv:1 names a.md:0"),
        ("# nothing", "has no questions"),
    ],
)
def test_a_questions_file_that_cannot_be_used_is_refused(tmp_path, content, sentence):
    (tmp_path / "a.md").write_text("x")
    (tmp_path / "q.tsv").write_text(content)
    with pytest.raises(UsageError, match=sentence.replace(".", r"\.")):
        read_questions(tmp_path / "q.tsv")


def test_a_collection_is_laid_out_once(collection, tmp_path):
    folder = tmp_path / "out"
    paths = lay_out(collection, folder)
    assert len({path.name for path in folder.iterdir()}) == 3
    assert paths["a/1"].read_text() == "# Keys\n\nrotating api keys every month\n"
    assert paths[".."].read_text() == "the zebra runs\n"
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}

    write_collection(
        collection,
        [("..", "", "the zebra runs"), ("c", "Water", "new text"), ("x" * 300, "", "long id")],
        [],
        [],
    )
    paths = lay_out(collection, folder)
    assert set(folder.iterdir()) == set(paths.values())
    assert paths[".."].stat().st_mtime_ns == before[paths[".."]]
    assert paths["c"].read_text() == "# Water\n\nnew text\n"


def test_only_judged_questions_are_asked(collection, tmp_path):
    questions = read_collection(collection, lay_out(collection, tmp_path / "out"))
    assert [question.text for question in questions] == ["rotating api keys", "zebra"]
    assert [target.grade for target in questions[1].targets] == [2]


@pytest.mark.parametrize(
    ("file", "content", "sentence"),
    [
        ("corpus.jsonl", "{", "corpus.jsonl:1 is not JSON"),
        ("corpus.jsonl", '{"_id": 1}', "corpus.jsonl:1 must be an object"),
        ("corpus.jsonl", '{"_id": 1, "text": ""}\n' * 2, "two documents with _id"),
        ("queries.jsonl", "[]", "queries.jsonl:1 must be an object"),
        ("queries.jsonl", "", "has no relevant documents for its queries"),
        ("qrels.tsv", "a\tb\tscore\nq1 c 1", "qrels.tsv:2 must be query-id"),
        ("qrels.tsv", None, "has no qrels.tsv or qrels/test.tsv"),
        ("corpus.jsonl", None, "has no corpus.jsonl"),
    ],
)
def test_a_broken_collection_is_refused(run_cli, collection, file, content, sentence):
    if content is None:
        (collection / file).unlink()
    else:
        (collection / file).write_text(content)
    done = run_cli("eval", collection)
    assert (done.returncode, done.stdout) == (2, "")
    assert sentence in done.stderr


def test_a_collection_is_indexed_in_the_cache_and_measured(run_cli, collection):
    first = run_cli("eval", collection)
    assert first.returncode == 0, first.stderr
    lines = first.stdout.splitlines()
    assert lines[0] == "tiny: 2 questions over 3 documents"
    assert lines[1].split() == ["mode", "nDCG@10", "Recall@100", "MRR@10"]
    assert [line.split()[0] for line in lines[2:]] == ["vector", "text", "hybrid", "hybrid"]
    assert lines[4].split()[1] == "1.000"
    assert all(len(line) <= 80 for line in lines)

    found = json.loads(run_cli("eval", collection, "--json").stdout)
    assert (found["dataset"], found["queries"], found["documents"]) == ("tiny", 2, 3)
    assert found["modes"]["hybrid"]["ndcg@10"] == 1
    assert found["modes"]["text"]["recall@100"] == 1
    assert found["hybrid_over_better_part"]["ndcg@10"] == 0
    assert (home_of(collection) / "workspace" / "head.json").exists()
    assert not (collection / ".localembed").exists()


def test_a_collection_that_did_not_change_is_not_embedded_again(run_cli, collection):
    run_cli("eval", collection)
    runs = home_of(collection) / "workspace" / "runs"
    before = sorted(path.name for path in runs.iterdir())
    assert run_cli("eval", collection, "--mode", "text").stdout.count("\n") == 3
    assert sorted(path.name for path in runs.iterdir()) == before


def test_own_questions_are_asked_of_the_workspace(run_cli, tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("# Keys\n\nrotating api keys")
    (tmp_path / "docs" / "b.md").write_text("the zebra runs")
    (tmp_path / "q.tsv").write_text("zebra\tdocs/b.md:1\nrotating keys\tdocs/a.md\n")
    assert run_cli("eval", "q.tsv").returncode == 5
    run_cli("init")
    run_cli("index", "docs")
    found = json.loads(run_cli("eval", "q.tsv", "--json", "--mode", "hybrid").stdout)
    assert list(found["modes"]) == ["hybrid"]
    assert found["modes"]["hybrid"]["mrr@10"] == 1
    assert "hybrid_over_better_part" not in found


def test_two_models_are_compared_question_by_question(run_cli, collection):
    done = run_cli("eval", collection, "--at", "fake", "--at", "other")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "other over fake, hybrid: +0.000 [+0.000, +0.000] nDCG@10" in lines
    assert lines[-1] == "0 questions answered worse"
    found = json.loads(
        run_cli("eval", collection, "--at", "fake", "--at", "other", "--json").stdout
    )
    assert [row["name"] for row in found["at"]] == ["fake", "other"]
    assert found["difference"]["mode"] == "hybrid"
    assert found["worse"] == []


def test_two_versions_are_compared_question_by_question(run_cli, tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "b.md").write_text("the zebra runs")
    (tmp_path / "q.tsv").write_text("zebra\tdocs/b.md\n")
    run_cli("init")
    run_cli("index", "docs")
    run_cli("versions", "tag", "before")
    (tmp_path / "docs" / "b.md").write_text("of something else")
    (tmp_path / "docs" / "c.md").write_text("the zebra runs")
    run_cli("index", "docs")
    found = json.loads(
        run_cli("eval", "q.tsv", "--at", "before", "--at", "2", "--mode", "text", "--json").stdout
    )
    assert [row["name"] for row in found["at"]] == ["before", "2"]
    assert found["difference"]["ndcg@10"] == -1
    assert [row["question"] for row in found["worse"]] == ["zebra"]


@pytest.mark.parametrize("models", [("a", "b", "c"), ("a", "a")])
def test_more_than_two_models_are_refused(run_cli, collection, models):
    done = run_cli("eval", collection, *(part for name in models for part in ("--at", name)))
    assert done.returncode == 2
    assert "--at takes one version or model, or two different ones" in done.stderr
