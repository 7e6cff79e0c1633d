"""Boundaries of prose: between sentences, list items and what directives describe."""

from __future__ import annotations

import random
import re

import pytest

from localembed.chunking.headings import paths_at
from localembed.chunking.rules import ChunkRules
from localembed.chunking.structure import find_headings
from tests.test_chunk import chunks_of

DIRECTIVES = (
    "Title\n=====\n\n.. module:: shelf\n\nBody1\n\n.. function:: open(name, *, flag='c')\n"
    "              open_old(name)\n\n   Body2\n\n   .. note:: Body3\n\n"
    ".. class:: Shelf(dict)\n\n"
    "   Body4\n\n   .. method:: close()\n\n      Body5\n\n   Body6\n\n"
    "Body7\n\nNext\n----\n\nBody8\n"
)


def wrapped(sentences):
    """Return prose in lines of about ten words, of sentences without blank lines."""
    draw = random.Random(4)
    words = [
        word
        for n in range(sentences)
        for word in [f"Begin{n}", *(f"word{draw.randrange(99)}" for _ in range(11)), "end."]
    ]
    return "\n".join(" ".join(words[at : at + 10]) for at in range(0, len(words), 10))


@pytest.mark.parametrize("kind", ["text", "rst"])
def test_what_a_directive_describes_has_its_name_as_heading(kind):
    places = [match.start() for match in re.finditer(r"Body\d", DIRECTIVES)]

    assert list(paths_at(find_headings(DIRECTIVES, kind), places)) == [
        "Title",
        "Title > open",
        "Title > open",
        "Title > Shelf",
        "Title > Shelf > close",
        "Title > Shelf",
        "Title",
        "Title > Next",
    ]


def test_a_chunk_of_wrapped_prose_begins_with_a_sentence():
    chunks = chunks_of(wrapped(60), "rst", rules=ChunkRules(96, 0))

    assert len(chunks) > 10
    assert all(chunk.text.startswith("Begin") for chunk in chunks)


def test_an_overlap_begins_with_a_sentence_where_there_is_one():
    chunks = chunks_of(wrapped(60), "rst", rules=ChunkRules(96, 24))

    assert sum(chunk.text.startswith("Begin") for chunk in chunks) >= 0.8 * len(chunks)


def test_a_chunk_of_code_begins_with_a_line():
    text = "".join(f"value{n} = compute({n}). next\n" for n in range(300))
    chunks = chunks_of(text, "code", rules=ChunkRules(48, 0))

    assert all(chunk.text.startswith("value") for chunk in chunks)


@pytest.mark.parametrize("mark", ["- ", "* ", "1. ", "(a) "])
def test_a_chunk_of_a_list_begins_with_an_item(mark):
    item = f"{mark}The first line of it\n  goes on here\n  and Here again\n"
    chunks = chunks_of("Introduction.\n\n" + item * 60, "markdown", rules=ChunkRules(64, 0))

    assert len(chunks) > 8
    assert all(chunk.text.startswith(mark) for chunk in chunks[1:])


def test_many_directives_take_linear_time():
    text = "".join(f"\n{' ' * (n % 24)}.. function:: f{n}\n" for n in range(20_000))

    assert len(find_headings(text, "rst")) > 1000
