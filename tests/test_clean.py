"""What the model sees of a text: line ends, composition and controls, and nothing else."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from localembed.chunking.clean import STEPS, clean

any_text = st.text(st.characters(exclude_categories=["Cs"]))
rough_text = st.text(
    st.sampled_from("ae\u0301\u0327\u1100\u1161\r\n\t\x00\x0b\x1f\x7f\ufeff é👩\u200d")
)


@pytest.mark.parametrize("end", ["\r\n", "\r", "\n"], ids=["crlf", "cr", "lf"])
def test_line_ends_become_line_feeds(end):
    assert clean(f"one{end}two{end}{end}three") == "one\ntwo\n\nthree"


def test_two_spellings_of_a_text_become_one():
    assert clean("cafe\u0301") == clean("caf\u00e9") == "caf\u00e9"
    assert clean("\u1112\u1161\u11ab") == "\ud55c"


def test_controls_are_dropped_but_tab_and_form_feed_stay():
    assert clean("a\x00b\x08c\x0bd\x1be\x7ff\ufeffg") == "abcdefg"
    assert clean("a\tb\fc\nd") == "a\tb\fc\nd"


def test_clean_text_comes_back_as_the_same_object():
    text = "Nothing to do: caf\u00e9, \U0001f469\u200d\U0001f467, tab\t and\nline."

    assert clean(text) is text


def test_meaningful_invisible_characters_stay_when_they_join_others():
    text = "\U0001f469\u200d\U0001f469\u200d\U0001f467 \u0645\u06cc\u200c\u062e"

    assert clean(text) == text


@given(st.one_of(any_text, rough_text))
@example("e\x00\u0301")
def test_cleaning_twice_is_cleaning_once(text):
    assert clean(clean(text)) == clean(text)


@given(st.one_of(any_text, rough_text))
@example("e\x00\u0301")
def test_cleaned_text_is_composed_and_has_no_control(text):
    cleaned = clean(text)

    assert unicodedata.is_normalized("NFC", cleaned)
    assert not set(cleaned) & set("\r\x00\x08\x0b\x0e\x1b\x1f\x7f\ufeff")


@given(any_text)
def test_every_step_leaves_plain_text_alone(text):
    plain = unicodedata.normalize("NFC", "".join(c for c in text if c.isprintable()))
    plain = plain.replace("\ufeff", "")

    assert [step(plain) for step in STEPS] == [plain] * len(STEPS)


@given(any_text)
def test_line_end_styles_and_forms_clean_alike(text):
    lf = text.replace("\r", "")

    assert clean(lf.replace("\n", "\r\n")) == clean(lf)
