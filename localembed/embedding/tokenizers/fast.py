"""The model's tokenizer without the model: fast, with offsets, never truncating."""

from __future__ import annotations

from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from localembed.embedding.model_shape import module_file
from localembed.embedding.tokenizers.word_cache import CACHE_SIZES, CacheSizes, WordCache
from localembed.errors import ModelChangedError
from localembed.types.models import Tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokenizers import Encoding
    from tokenizers import Tokenizer as RustTokenizer

    from localembed.types.arrays import IntArray


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
        from tokenizers import Tokenizer

        path = module_file(folder, "tokenizer.json")
        try:
            self._tokenizer: RustTokenizer = Tokenizer.from_file(str(path))
        except Exception as error:
            message = (
                f"The tokenizer {path} cannot be loaded: {error}. Put the published file back."
            )
            raise ModelChangedError(message) from error
        # The packaged file truncates and pads at 128 tokens, which would lose text silently.
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._sizes = sizes
        self._chars = 0
        self.special_tokens = int(self._tokenizer.num_special_tokens_to_add(is_pair=False))
        self.word_local = (
            type(self._tokenizer.model).__name__ == "WordPiece"
            and type(self._tokenizer.pre_tokenizer).__name__ == "BertPreTokenizer"
        )

    def special_ids(self) -> tuple[IntArray, IntArray]:
        """Return the ids before and after every input of the model."""
        encoding = self._tokenizer.encode("a", add_special_tokens=True)
        text = [index for index, special in enumerate(encoding.special_tokens_mask) if not special]
        ids = np.array(encoding.ids, np.int32)
        return ids[: text[0]], ids[text[-1] + 1 :]

    @property
    def vocabulary(self) -> int:
        """Number of ids."""
        return int(self._tokenizer.get_vocab_size())

    def __call__(self, texts: Sequence[str], /) -> list[Tokens]:
        """Return the tokens of each text, without special tokens."""
        found = self._by_words(texts)
        others = [text for text, tokens in zip(texts, found, strict=True) if tokens is None]
        if not others:
            return [tokens for tokens in found if tokens is not None]
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
        """Return the tokens of a text, without the cache."""
        return _tokens(self._tokenizer.encode(text, add_special_tokens=False))


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
