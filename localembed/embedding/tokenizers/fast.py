"""The model's tokenizer without the model: fast, with offsets, never truncating."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from localembed.core.panics import panics_as_errors, quiet_panics
from localembed.embedding.model_shape import module_file
from localembed.embedding.tokenizers.word_cache import CACHE_SIZES, CacheSizes, WordCache
from localembed.errors import ModelChangedError, TextRefusedError
from localembed.types.models import Tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokenizers import Encoding
    from tokenizers import Tokenizer as RustTokenizer

    from localembed.types.arrays import IntArray

_PROBE = "a b"


class FastTokenizer:
    """A tokenizer.json, used for its offsets.

    `word_local` is true for BERT's WordPiece after BERT's pre-tokenizer, which handles one word at
    a time: all of 13,040 chunks had the ids of their own text. Byte-level BPE and Unigram depend on
    the space before a word, so their chunks are tokenised again.
    """

    def __init__(self, folder: Path, sizes: CacheSizes = CACHE_SIZES) -> None:
        """Load `folder/tokenizer.json`.

        Raises:
            ModelChangedError: the file is missing or is not a tokenizer.
        """
        self._path = module_file(folder, "tokenizer.json")
        with self._loading():
            self._tokenizer = _load(self._path)
            self.special_tokens = int(self._tokenizer.num_special_tokens_to_add(is_pair=False))
            self.unknown_id = _unknown_id(self._tokenizer)
            # A broken file may load and fail at the first text.
            _tokens(self._tokenizer.encode(_PROBE, add_special_tokens=False))
        self._sizes = sizes
        self._chars = 0
        self.word_local = (
            type(self._tokenizer.model).__name__ == "WordPiece"
            and type(self._tokenizer.pre_tokenizer).__name__ == "BertPreTokenizer"
        )

    def special_ids(self) -> tuple[IntArray, IntArray]:
        """Return the ids before and after every input of the model.

        Raises:
            ModelChangedError: the file cannot add them to a text.
        """
        with self._loading():
            encoding = self._tokenizer.encode("a", add_special_tokens=True)
            mask = encoding.special_tokens_mask
            text = [index for index, special in enumerate(mask) if not special]
            ids = np.array(encoding.ids, np.int32)
            return ids[: text[0]], ids[text[-1] + 1 :]

    @contextmanager
    def _loading(self) -> Iterator[None]:
        """Turn whatever the library raises while it loads the file into our error."""
        try:
            with quiet_panics():
                yield
        except Exception as error:
            message = (
                f"The tokenizer {self._path} cannot be loaded: {_first_line(error)}. Put the "
                "published file back."
            )
            raise ModelChangedError(message) from error

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Turn whatever the library raises for a text into our error."""
        try:
            with panics_as_errors():
                yield
        except MemoryError:
            raise
        except Exception as error:
            message = f"the tokenizer {self._path} cannot read this text: {_first_line(error)}"
            raise TextRefusedError(message) from error

    @property
    def vocabulary(self) -> int:
        """Number of ids."""
        return int(self._tokenizer.get_vocab_size())

    def __call__(self, texts: Sequence[str], /) -> list[Tokens]:
        """Return the tokens of each text, without special tokens.

        Raises:
            TextRefusedError: the tokenizer fails on one of them.
        """
        found = self._by_words(texts)
        others = [text for text, tokens in zip(texts, found, strict=True) if tokens is None]
        if not others:
            return [tokens for tokens in found if tokens is not None]
        with self._reading():
            encodings = iter(self._tokenizer.encode_batch(others, add_special_tokens=False))
            return [_tokens(next(encodings)) if tokens is None else tokens for tokens in found]

    def _by_words(self, texts: Sequence[str]) -> list[Tokens | None]:
        """Return the tokens of each text from the word cache, None where it cannot tell."""
        self._chars += sum(map(len, texts))
        words = self._words if self._chars > self._sizes.min_chars else None
        return [None] * len(texts) if words is None else words(texts)

    @cached_property
    def _words(self) -> WordCache | None:
        return WordCache.of(self._tokenizer, self, self._sizes)

    def encode(self, text: str, /) -> Tokens:
        """Return the tokens of a text, without the cache.

        Raises:
            TextRefusedError: the tokenizer fails on it.
        """
        with self._reading():
            return _tokens(self._tokenizer.encode(text, add_special_tokens=False))


def _load(path: Path) -> RustTokenizer:
    from tokenizers import Tokenizer

    tokenizer: RustTokenizer = Tokenizer.from_file(str(path))
    # The packaged file truncates and pads at 128 tokens, which would lose text silently.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _unknown_id(tokenizer: RustTokenizer) -> int | None:
    """Return the id of what the vocabulary lacks; Unigram does not name its own."""
    name = getattr(tokenizer.model, "unk_token", None)
    if name is None and type(tokenizer.model).__name__ == "Unigram":
        name = "<unk>"
    return tokenizer.token_to_id(name) if name else None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [repr(error)])[0].rstrip(".")


def _tokens(encoding: Encoding) -> Tokens:
    # Three times faster than an array of the list of pairs.
    flat = np.fromiter(chain.from_iterable(encoding.offsets), np.int32, 2 * len(encoding))
    offsets = flat.reshape(-1, 2)
    return Tokens(
        ids=np.array(encoding.ids, np.int32),
        starts=np.ascontiguousarray(offsets[:, 0]),
        ends=np.ascontiguousarray(offsets[:, 1]),
        words=np.array(encoding.word_ids, np.int32),
    )
