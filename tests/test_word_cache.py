"""The word cache returns the tokens that the tokenizer itself returns."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors

from localembed.embedding.tokenizers.fast import FastTokenizer
from localembed.embedding.tokenizers.word_cache import CacheSizes, WordCache
from localembed.models import open_model

NORMALIZERS = [
    {},
    {"lowercase": False},
    {"strip_accents": False},
    {"lowercase": False, "strip_accents": True},
    {"handle_chinese_chars": False},
    {"clean_text": False},
]
PIECES = [
    "token", "Token", "É", "e\u0301", "\u0301", "ﬁ", "İ", "ς", "ß", "中文", "한국", "\u1112\u1161",
    "\u200b", "\x00", "\ufffd", "\x85", "\u00a0", "\u037e", "\u3000", "…", "→", "—", "don't",
    "x" * 101, "##ing", "[UNK]", "[MASK", "\n\n", "\t", " ", ". ", "\U0001f469\u200d\U0001f467",
]  # fmt: skip
texts = st.lists(
    st.one_of(
        st.sampled_from(PIECES), st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
    ),
    max_size=40,
).map("".join)


def word_piece(added=("[UNK]", "[MASK]"), **normalizer):
    """Return a BERT-like tokenizer with a small vocabulary."""
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFG0123456789éßfiς中한"
    marks = ".,;'#[]-—…"
    words = ["[UNK]", "[MASK]", "token", "don", *letters, *marks, *(f"##{one}" for one in letters)]
    vocabulary = {word: place for place, word in enumerate(dict.fromkeys(words))}
    made = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100))
    made.normalizer = normalizers.BertNormalizer(**normalizer)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.add_special_tokens(list(added))
    return made


def loaded(folder, tokenizer, sizes=CacheSizes(min_chars=-1)):  # noqa: B008 - frozen
    """Return a tokenizer loaded from a model's folder."""
    tokenizer.save(str(folder / "tokenizer.json"))
    return FastTokenizer(folder, sizes)


class Recorded:
    """A tokenizer's cache, and every text that the tokenizer itself was given."""

    def __init__(self, folder, tokenizer, sizes=CacheSizes(min_chars=-1)) -> None:  # noqa: B008
        self.whole = loaded(folder, tokenizer).encode
        self.texts: list[str] = []
        cache = WordCache.of(tokenizer, self, sizes)
        assert cache is not None
        self.cache = cache

    def encode(self, text, /):
        self.texts.append(text)
        return self.whole(text)


def assert_same(found, expected):
    """Compare all fields of tokens; for word numbers, only where they change."""
    for name in ("ids", "starts", "ends"):
        one, other = getattr(found, name), getattr(expected, name)
        assert one.dtype == other.dtype
        assert np.array_equal(one, other), name
    assert np.array_equal(np.diff(found.words) != 0, np.diff(expected.words) != 0)


@pytest.mark.parametrize("normalizer", NORMALIZERS, ids=str)
def test_a_text_has_the_tokenizers_tokens(normalizer, tmp_path):
    recorded = Recorded(tmp_path, word_piece(**normalizer))
    by_words = 0

    @settings(max_examples=150, deadline=None)
    @given(texts)
    def check(text):
        nonlocal by_words
        (found,) = recorded.cache([text])
        if found is not None:
            by_words += 1
            assert_same(found, recorded.whole(text))

    check()
    assert by_words > 100


@pytest.mark.parametrize("normalizer", NORMALIZERS, ids=str)
def test_texts_that_are_tokenised_together_have_the_tokens_of_each(normalizer, tmp_path):
    cache = Recorded(tmp_path, word_piece(**normalizer)).cache

    @settings(max_examples=60, deadline=None)
    @given(st.lists(texts, max_size=8))
    def check(several):
        for one, text in zip(cache(several), several, strict=True):
            (alone,) = cache([text])
            assert (one is None) == (alone is None)
            if one is not None:
                assert_same(one, alone)

    check()


def test_every_character_is_treated_as_the_tokenizer_treats_it(tmp_path):
    """Alone, inside a word, at its end and after a mark."""
    recorded = Recorded(tmp_path, word_piece())
    for page in range(0, 0x20000, 0x100):
        codes = [code for code in range(page, page + 0x100) if not 0xD800 <= code < 0xE000]
        text = "".join(f"{chr(code)} a{chr(code)}b .{chr(code)}, " for code in codes)
        if (found := recorded.cache([text])[0]) is not None:
            assert_same(found, recorded.whole(text))
        else:
            assert "[MASK]" in text, f"page {page:#x} was not classified"


def test_a_word_is_tokenised_once(tmp_path):
    recorded = Recorded(tmp_path, word_piece())
    recorded.cache(["one token, two tokens"])
    pages = len(recorded.texts) - 1
    assert pages == 1
    recorded.texts.clear()
    recorded.cache(["two tokens, three; one token"])
    assert [set(text.split()) for text in recorded.texts] == [{"three", ";"}]


def test_added_tokens_are_left_to_the_tokenizer(tmp_path):
    tokenizer = loaded(tmp_path, word_piece())
    assert tokenizer._words is not None
    assert tokenizer._words(["a [MASK] b", "b"])[0] is None
    text, other = tokenizer(["a [MASK] b", "a [mask] b"])
    assert text.ids.tolist() == tokenizer._tokenizer.encode("a [MASK] b").ids
    assert len(text.ids) == 3
    assert len(other.ids) > 3


def test_an_added_token_equal_to_the_probe_letters_is_not_a_word(tmp_path):
    made = word_piece()
    made.add_tokens([AddedToken("a", lstrip=True, normalized=False)])
    tokenizer = loaded(tmp_path, made)
    for text in ("bbb", "b a b", "bab", "... b"):
        (found,) = tokenizer([text])
        assert_same(found, tokenizer.encode(text))


@pytest.mark.parametrize(
    "change",
    [
        lambda made: setattr(made, "pre_tokenizer", pre_tokenizers.Whitespace()),
        lambda made: setattr(made, "normalizer", normalizers.NFC()),
        lambda made: made.add_tokens([AddedToken("a_b", normalized=True)]),
        lambda made: made.add_tokens([AddedToken("new york", normalized=False)]),
        lambda made: setattr(made, "post_processor", processors.ByteLevel(trim_offsets=True)),
    ],
)
def test_other_tokenizers_have_no_cache(change, tmp_path):
    made = word_piece()
    change(made)
    encoder = SimpleNamespace(encode=lambda _: pytest.fail("the tokenizer was called"))
    assert WordCache.of(made, encoder) is None
    tokenizer = loaded(tmp_path, made)
    assert tokenizer(["a_b token"])[0].ids.tolist() == made.encode("a_b token").ids


def test_the_cache_is_emptied_before_it_takes_much_memory(tmp_path):
    recorded = Recorded(tmp_path, word_piece(), CacheSizes(max_chars=500))
    for number in range(100):
        text = " ".join(f"token{number}{place:03}" for place in range(20))
        assert_same(recorded.cache([text])[0], recorded.whole(text))
        assert recorded.cache._words.chars <= 500 + len(text)


def test_several_threads_may_use_the_cache(tmp_path):
    recorded = Recorded(tmp_path, word_piece(), CacheSizes(max_chars=3000))
    many = [
        " ".join(f"{'ab'[word % 2]}{(number * word) % 97}" for word in range(300))
        for number in range(200)
    ]
    with ThreadPoolExecutor(8) as pool:
        for text, (found,) in zip(many, pool.map(recorded.cache, [[t] for t in many]), strict=True):
            assert_same(found, recorded.whole(text))


def test_a_query_does_not_create_the_cache(tmp_path):
    tokenizer = loaded(tmp_path, word_piece(), CacheSizes(min_chars=100))
    tokenizer(["one token"])
    assert "_words" not in vars(tokenizer)
    tokenizer(["token " * 20])
    assert "_words" in vars(tokenizer)


def test_the_packaged_model_has_one(minilm):
    assert FastTokenizer(open_model(minilm).folder)._words is not None
