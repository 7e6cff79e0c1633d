"""The hash table of words, which looks up thousands at once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from localembed.embedding.tokenizers import word_table
from localembed.embedding.tokenizers.word_table import LONGEST, WordTable, word_keys

# Many start with the same bits, so that they want the same slots.
keys = st.one_of(st.integers(0, 30), st.integers(2**64 - 30, 2**64 - 1), st.integers(0, 2**64 - 1))


def array(numbers):
    return np.array(numbers, np.uint64)


def keys_of(words):
    codes = np.frombuffer("".join(words).encode("utf-32-le"), np.uint32)
    return word_keys(codes, np.array([len(word) for word in words], np.int32))


@given(st.lists(st.lists(keys, max_size=40), max_size=6), st.lists(keys, max_size=20))
def test_a_table_is_a_dict(parts, others):
    table = WordTable()
    known: dict[int, int] = {}
    for part in parts:
        new = [key for key in dict.fromkeys(part) if key not in known]
        table.add(array(new))
        known.update(zip(new, range(len(known), len(known) + len(new)), strict=True))
        wanted = [*known, *others]
        found = table.find(array(wanted))
        assert found.dtype == np.int32
        assert found.tolist() == [known.get(key, -1) for key in wanted]
    assert len(table) == len(known)


def test_a_table_grows():
    table = WordTable()
    many = np.random.default_rng(1).permutation(np.arange(50_000, dtype=np.uint64) << np.uint64(47))
    for part in np.array_split(many, 7):
        table.add(part)
    assert np.array_equal(table.find(many), np.arange(50_000))
    assert (table.find(many + np.uint64(1)) == -1).all()


words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


@given(st.lists(words, min_size=1, max_size=30))
def test_equal_words_have_equal_keys_and_others_do_not(several):
    found = dict(zip(several, keys_of(several).tolist(), strict=True))
    assert len(set(found.values())) == len(found)
    assert keys_of([*several, *several]).tolist() == [found[word] for word in several] * 2


@pytest.mark.parametrize(
    ("one", "other"), [("ab", "ba"), ("\0", "\0\0"), ("a" * LONGEST, "a" * (LONGEST - 1))]
)
def test_words_with_equal_sums_have_different_keys(one, other):
    assert len(set(keys_of([one, other]).tolist())) == 2


def test_the_keys_of_another_process_cannot_be_predicted():
    import subprocess
    import sys

    code = "import numpy, localembed.embedding.tokenizers.word_table as t; print(t._FACTORS[0])"
    drawn = {
        subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True
        ).stdout
        for _ in range(2)
    }
    assert len(drawn) == 2
    assert len(set(word_table._FACTORS.tolist())) == LONGEST
