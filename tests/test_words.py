"""What full text sees of names that are several words."""

import pytest

from localembed.store.words import compound_parts


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
