"""What full text sees of names that are several words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localembed.store.lance import search_text as words_room
from localembed.store.lance.search_text import compound_parts


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("parseConfig", "parse Config"),
        ("the HTTPServer listens", "HTTP Server"),
        ("MyHTTPServer2Go", "My HTTP Server Go"),
        ("a Point3D and utf8Decoder", "Point utf Decoder"),
        ("Plain Words, UPPER and lower_case", ""),
        ("aB3" * 30, ""),
    ],
)
def test_compounds_are_taken_apart(text, parts):
    assert compound_parts(text) == parts


@given(st.text(st.sampled_from("aAbB0 _-é\n"), max_size=60))
def test_no_compound_is_overlooked(text):
    """Looking for a capital first finds what looking at every word finds."""
    words = [
        part for word in words_room._COMPOUND.findall(text)
        for part in words_room._WORD_PARTS.findall(word) if len(part) > 1
    ]  # fmt: skip
    assert compound_parts(text) == " ".join(words)
