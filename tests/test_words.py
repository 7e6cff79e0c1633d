"""What full text finds: every word, in every spelling, also where the model cannot read it."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from localembed.search.words import text_query
from localembed.store.lance.search_text import normal
from localembed.workspace.workspace import Workspace

WORDS = [
    "os", "min", "end", "5", "C++", "C#", "c", "if", "not", "is", "the", "what", "or", "die", "und",
    "el", "im", "su", "1.2.3", "a1",
]  # fmt: skip
"""Words that are stop words of some language, or that an analyser could drop or confuse."""
APOSTROPHE = "\N{RIGHT SINGLE QUOTATION MARK}"
COMMIT = "5e76326b0b8de7f6f9d6c6f5f4e3d2c1b0a99887"


def first(workspace, word, **keywords):
    """Return the name of the best hit's file."""
    hits = workspace.query(word, **keywords)
    return Path(hits[0].path).name if hits else None


def test_a_document_of_one_word_is_found_by_it(workspace, notes):
    for number, word in enumerate(WORDS):
        (notes / f"{number}x.md").write_text(word)
    workspace.index([notes])
    for mode in ("text", "hybrid"):
        found = [first(workspace, word, mode=mode) for word in WORDS]
        assert found == [f"{number}x.md" for number in range(len(WORDS))]


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_every_spelling_of_a_word_finds_it(workspace, notes, form):
    texts = {
        "a.md": "Über die Bürogebäude",
        "b.md": "a soft\N{SOFT HYPHEN}hyphen and zero\N{ZERO WIDTH SPACE}width",
        "c.md": f"the user{APOSTROPHE}s théâtre, l{APOSTROPHE}école",
        "d.md": f"commit {COMMIT} here",
        "e.md": "aVeryLongCamelCaseNameThatIsMuchLongerThanFortyCharacters = 1",
        "f.md": "\ufb01rst \uff26\uff55\uff4c\uff4c",
        "g.md": "Łódź, Ærø, Straße",
        "बैठक.md": "nothing special",
        "Bürohaus.md": "another text",
    }
    for name, text in texts.items():
        (notes / unicodedata.normalize(form, name)).write_text(unicodedata.normalize(form, text))
    workspace.index([notes])
    asked = {
        "a.md": ["Bürogebäude", "burogebaude", "BÜROGEBÄUDE", "Bu\N{SOFT HYPHEN}rogeba\u0308ude"],
        "b.md": ["softhyphen", "zerowidth"],
        "c.md": ["user's", "theatre", "théâtre", "the\u0301a\u0302tre", "école", "ecole"],
        "d.md": [COMMIT],
        "e.md": [
            "Forty Characters Much",
            "aVeryLongCamelCaseNameThatIsMuchLongerThanFortyCharacters",
        ],
        "f.md": ["first", "full"],
        "g.md": ["lodz", "Łódź", "aero", "strasse", "STRASSE"],
        "बैठक.md": ["बैठक"],
        "Bürohaus.md": ["Bürohaus", "burohaus"],
    }
    for name, questions in asked.items():
        for question in questions:
            found = first(workspace, question, mode="text")
            assert found is not None, question
            assert unicodedata.normalize("NFC", found) == name, question


def test_marks_that_are_letters_stay():
    for text in ("สวัสดีครับ", "हिन्दी की बैठक", "한국어", "がぎぐ"):
        assert normal(unicodedata.normalize("NFD", text)) == text


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("how do I rotate the keys", "rotate keys"),
        ("to be or not to be", "to be or not to be"),
        ("What is C++?", "c cplusplus"),
        ("os", "os"),
        ("not", "not"),
    ],
)
def test_stop_words_are_left_out_of_a_query_that_has_others(query, words):
    assert text_query(query).split() == words.split()


THAI = [
    "สวัสดี", "ขอบคุณ", "แมว", "หมา", "ปลา", "น้ำ", "ไฟ", "รถ", "บ้าน", "โรงเรียน", "หนังสือ", "กาแฟ",
]  # fmt: skip


def test_what_the_model_cannot_read_is_found_by_its_words(tmp_path, notes, minilm):
    for number, word in enumerate(THAI):
        (notes / f"{number}.md").write_text(word)
    (notes / "english.md").write_text("rotating api keys every month")
    workspace = Workspace(tmp_path / "w", {"model": minilm})
    workspace.index([notes])

    for _ in range(2):  # from the second query on, vectors are in memory
        assert [first(workspace, word) for word in THAI] == [f"{n}.md" for n in range(len(THAI))]
        hits = workspace.query("rotating keys", mode="vector")
        assert [Path(hit.path).name for hit in hits] == ["english.md"]
    hits = workspace.query("rotating keys or แมว")
    assert {Path(hit.path).name: hit.similarity for hit in hits}["2.md"] == 0
    assert workspace.status().unreadable == len(THAI)


def test_an_unreadable_query_says_so(tmp_path, notes, minilm):
    (notes / "english.md").write_text("rotating api keys every month")
    workspace = Workspace(tmp_path / "w", {"model": minilm})
    workspace.index([notes])
    from localembed.types.queries import Query

    assert not workspace.search(Query("สวัสดี")).readable
    assert workspace.search(Query("keys")).readable


def test_an_index_of_an_older_schema_is_taken_over_without_embedding(
    workspace, notes, fake, monkeypatch
):
    from localembed.workspace import tables

    (notes / "a.md").write_text("zebra stripes")
    with monkeypatch.context() as old:
        old.setattr(tables, "SCHEMA_VERSION", 1)
        workspace.index([notes])
    fake.embedded.clear()
    report = workspace.index()
    assert (fake.embedded, report.chunks.reused, report.chunks.embedded) == ([], 1, 0)
    assert first(workspace, "zebra", mode="text") == "a.md"


@pytest.mark.parametrize("way", ["remove", "restore"])
def test_a_table_of_an_older_schema_is_still_written(workspace, notes, monkeypatch, way):
    """`rm` deletes from every table, and an older version can be restored."""
    import lancedb

    from localembed.store.head import read_head
    from localembed.workspace import tables

    (notes / "a.md").write_text("zebra stripes")
    (notes / "b.md").write_text("giraffe spots")
    with monkeypatch.context() as old:
        old.setattr(tables, "SCHEMA_VERSION", 1)
        workspace.index([notes])
    name = read_head(workspace.layout).default
    table = lancedb.connect(workspace.layout.vectors).open_table(name)
    table.drop_columns(["kind", "title", "place", "readable", "metadata"])
    assert workspace.index().chunks.embedded == 0

    if way == "remove":
        assert workspace.remove(notes / "a.md").files.removed == 1
    else:
        workspace.history.restore("1")
        assert read_head(workspace.layout).default == name
    hits = workspace.query("zebra giraffe", mode="text")
    assert {Path(hit.path).name for hit in hits} == {"b.md", *(["a.md"] * (way == "restore"))}
