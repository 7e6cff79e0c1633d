"""Tiny random models, one of each architecture family, made by the libraries that load real ones.

Each becomes a sentence-transformers folder with the tokenizer kind, special tokens, pooling and
prompts of a published model (named at its row), so that everything but the size of the weights is
what a user's folder has. Nothing is downloaded; the tokenizers learn the text below.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from localembed.types.models import ModelSpec

HIDDEN = 32
MAX_TOKENS = 120
_VOCABULARY = 600
_SPREAD = 0.4
"""Standard deviation of the weights: with the usual 0.02 all vectors are nearly the same."""

_LESSONS = """
The harbour master keeps a ledger of every ship that enters the bay. When the tide turns, small
boats leave first, because the channel is narrow and the wind blows from the west. A lamp on the
northern pier burns through the night; sailors say that its light is seen twenty miles away.
In winter the ropes freeze, the cranes stand still, and nobody unloads grain before noon.

To rotate an access key, create a second key, give it to each service, wait until the first one is
no longer used, then delete it. Never write keys into a repository: read them from the environment.
def rotate(keys, now): return [key for key in keys if key.expires > now]
A query is answered from an index; a document is cut into chunks, and each chunk has one vector.
Instruct: given a web search query, retrieve passages that answer it. title: none | text: words

Bread needs four things: flour, water, salt and time. Mix them loosely, cover the bowl, and let it
rest overnight in a cool kitchen; long fermentation gives flavour that kneading alone cannot. The
oven should be very hot, about 240 degrees, with a tray of boiling water below for the first ten
minutes. A finished loaf sounds hollow when it is tapped. Rye flour absorbs more water than wheat,
so its dough stays sticky, and bakers shape it with wet palms.

Mountain rivers carry gravel downhill and drop it where the valley widens. Geologists measure the
size of pebbles along the bank to estimate how fast the current once ran. After heavy rain the
water turns brown, old channels fill again, and farmers move their cattle to higher meadows.
"""

TEXTS = (
    "Ships leave the harbour when the tide turns.",
    "key",
    "To rotate an access key, create a second one and wait.\n\nThen delete the first key.",
    "  def rotate(keys):\n      return sorted(keys)  # oldest first\n",
    "A café in Zürich, naïve prices: 3.50 €; 東京タワー stands 333 m tall 🚢",
    "The northern lamp burns through the night. " * 3,
    "\tvectors, chunks and documents (in that order)",
    "7",
)
"""Short and long, with space in front and behind, lines, accents and letters never seen before."""

QUERIES = ("how are keys rotated?", "北")
"""The last one is longer than any of the models reads."""


@dataclass(frozen=True, slots=True)
class Family:
    """How one kind of model is built, and what its spec says."""

    name: str
    transformer: Callable[[], tuple[Any, Any]] | None
    """Gives tokenizer and model; None for a table of word vectors without a transformer."""
    pooling: str
    query_prompt: str = ""
    document_prompt: str = ""
    dense: bool = False

    def spec(self, *, document_prompt: str = "") -> ModelSpec:
        """Return what models.toml would say of this model."""
        return ModelSpec(
            name=self.name,
            backend="sentence-transformers",
            sources=(),
            dim=HIDDEN,
            max_tokens=MAX_TOKENS,
            pooling=self.pooling,
            normalize=True,
            license="none",
            query_prompt=self.query_prompt,
            document_prompt=document_prompt,
        )


def build(family: Family, folder: Path) -> None:
    """Write a family's model into an empty folder."""
    import torch
    from sentence_transformers import SentenceTransformer

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        modules = _static_modules() if family.transformer is None else _modules(family, folder)
        model = SentenceTransformer(modules=modules, device="cpu")
        model.save(str(folder), create_model_card=False)


def _modules(family: Family, folder: Path) -> list[Any]:
    from sentence_transformers.base.modules import Dense, Normalize, Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling
    from torch import nn

    assert family.transformer is not None
    tokenizer, model = family.transformer()
    bare = folder.with_name(folder.name + "-bare")
    tokenizer.save_pretrained(bare)
    model.save_pretrained(bare)
    transformer = Transformer(str(bare), max_seq_length=MAX_TOKENS)
    modules = [transformer, Pooling(HIDDEN, pooling_mode=family.pooling)]
    if family.dense:
        wide = {"bias": False, "activation_function": nn.Identity()}
        modules += [Dense(HIDDEN, 3 * HIDDEN, **wide), Dense(3 * HIDDEN, HIDDEN, **wide)]
    return [*modules, Normalize()]


def _static_modules() -> list[Any]:
    """Return BERT's tokenizer, and for each word a vector that knows nothing of its context."""
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    return [StaticEmbedding(_bert_tokenizer().backend_tokenizer, embedding_dim=HIDDEN)]


def _trained(tokenizer: Any, trainer: Any) -> dict[str, Any]:
    """Return the vocabulary, and what else a tokenizer's model learned, from the lessons."""
    import json

    tokenizer.train_from_iterator(_LESSONS.strip().split("\n"), trainer)
    trained: dict[str, Any] = json.loads(tokenizer.to_str())["model"]
    return trained


def _word_pieces(special: list[str], unknown: str) -> dict[str, int]:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.WordPiece(unk_token=unknown))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=_VOCABULARY, special_tokens=special, show_progress=False
    )
    vocabulary: dict[str, int] = _trained(tokenizer, trainer)["vocab"]
    return vocabulary


def _byte_pairs(special: list[str]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Return vocabulary and merges over bytes, with the special tokens first."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=_VOCABULARY,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    learned = _trained(tokenizer, trainer)
    return learned["vocab"], [tuple(pair) for pair in learned["merges"]]


def _sizes(tokenizer: Any) -> dict[str, Any]:
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": HIDDEN,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "initializer_range": _SPREAD,
        "pad_token_id": tokenizer.pad_token_id,
    }


def _bert_tokenizer() -> Any:
    from transformers import BertTokenizer

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    return BertTokenizer(vocab=_word_pieces(special, "[UNK]"))


def _bert() -> tuple[Any, Any]:
    from transformers import BertConfig, BertModel

    tokenizer = _bert_tokenizer()
    return tokenizer, BertModel(BertConfig(max_position_embeddings=128, **_sizes(tokenizer)))


def _mpnet() -> tuple[Any, Any]:
    from transformers import MPNetConfig, MPNetModel, MPNetTokenizer

    special = ["<s>", "<pad>", "</s>", "<unk>", "[UNK]", "<mask>"]
    tokenizer = MPNetTokenizer(vocab=_word_pieces(special, "[UNK]"))
    return tokenizer, MPNetModel(MPNetConfig(max_position_embeddings=130, **_sizes(tokenizer)))


def _xlm_roberta() -> tuple[Any, Any]:
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import XLMRobertaConfig, XLMRobertaModel, XLMRobertaTokenizer

    unigram = Tokenizer(models.Unigram())
    unigram.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=_VOCABULARY,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
        unk_token="<unk>",
        show_progress=False,
    )
    pieces = [(piece, score) for piece, score in _trained(unigram, trainer)["vocab"]]
    tokenizer = XLMRobertaTokenizer(vocab=pieces)
    config = XLMRobertaConfig(
        max_position_embeddings=130,
        type_vocab_size=1,
        bos_token_id=0,
        eos_token_id=2,
        **_sizes(tokenizer),
    )
    return tokenizer, XLMRobertaModel(config)


def _modernbert() -> tuple[Any, Any]:
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import ModernBertConfig, ModernBertModel, PreTrainedTokenizerFast

    special = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
    vocabulary, merges = _byte_pairs(special)
    pairs = Tokenizer(models.BPE(vocabulary, merges))
    pairs.normalizer = normalizers.NFC()
    pairs.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    pairs.decoder = decoders.ByteLevel()
    pairs.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[(name, vocabulary[name]) for name in ("[CLS]", "[SEP]")],
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=pairs,
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        pad_token="[PAD]",
        mask_token="[MASK]",
        model_input_names=["input_ids", "attention_mask"],
    )
    config = ModernBertConfig(
        local_attention=8,
        global_attn_every_n_layers=2,
        initializer_cutoff_factor=2.0,
        cls_token_id=tokenizer.cls_token_id,
        sep_token_id=tokenizer.sep_token_id,
        bos_token_id=tokenizer.cls_token_id,
        eos_token_id=tokenizer.sep_token_id,
        **_sizes(tokenizer),
    )
    return tokenizer, ModernBertModel(config)


def _gemma() -> tuple[Any, Any]:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
    from transformers import Gemma3TextConfig, Gemma3TextModel, GemmaTokenizer

    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
    pairs = Tokenizer(models.BPE(unk_token="<unk>"))
    pairs.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    trainer = trainers.BpeTrainer(
        vocab_size=2 * _VOCABULARY,
        special_tokens=special + [f"<0x{byte:02X}>" for byte in range(256)],
        show_progress=False,
    )
    learned = _trained(pairs, trainer)
    tokenizer = GemmaTokenizer(
        vocab=learned["vocab"], merges=[tuple(pair) for pair in learned["merges"]]
    )
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A <eos>", special_tokens=[("<bos>", 2), ("<eos>", 1)]
    )
    config = Gemma3TextConfig(
        num_key_value_heads=1,
        head_dim=16,
        query_pre_attn_scalar=16,
        sliding_window=16,
        layer_types=["sliding_attention", "full_attention"],
        use_bidirectional_attention=True,
        bos_token_id=2,
        eos_token_id=1,
        **_sizes(tokenizer),
    )
    return tokenizer, Gemma3TextModel(config)


def _qwen3(padding_side: str) -> tuple[Any, Any]:
    from tokenizers import processors
    from transformers import Qwen2Tokenizer, Qwen3Config, Qwen3Model

    vocabulary, merges = _byte_pairs(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    tokenizer = Qwen2Tokenizer(
        vocab=vocabulary,
        merges=merges,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        padding_side=padding_side,
    )
    # What stands behind every text is the padding token, not the one called EOS.
    tokenizer.backend_tokenizer.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(
                single="$A <|endoftext|>", special_tokens=[("<|endoftext|>", 0)]
            ),
        ]
    )
    config = Qwen3Config(
        num_key_value_heads=2, head_dim=8, max_position_embeddings=128, **_sizes(tokenizer)
    )
    return tokenizer, Qwen3Model(config)


_INSTRUCTION = "Instruct: given a web search query, retrieve passages that answer it\nQuery:"

FAMILIES = (
    # bge-small-en-v1.5: the first token's vector, an instruction for queries only
    Family("bert", _bert, "cls", "Represent this sentence for searching passages: ", "words: "),
    # all-mpnet-base-v2, which has no prompts
    Family("mpnet", _mpnet, "mean", "query: ", "document: "),
    # multilingual-e5-small
    Family("xlm-roberta", _xlm_roberta, "mean", "query: ", "passage: "),
    # modernbert-embed-base
    Family("modernbert", _modernbert, "mean", "search_query: ", "search_document: "),
    # embeddinggemma-300m
    Family(
        "gemma",
        _gemma,
        "mean",
        "task: search result | query: ",
        "title: none | text: ",
        dense=True,
    ),
    # Qwen3-Embedding-0.6B, padded as it comes and as its README says
    Family("qwen3", lambda: _qwen3("right"), "lasttoken", _INSTRUCTION, "Document: "),
    Family("qwen3-left", lambda: _qwen3("left"), "lasttoken", _INSTRUCTION, "Document: "),
    # static-retrieval-mrl-en-v1
    Family("static", None, "none", "query: ", "document: "),
)


@contextmanager
def ids_seen(vocabulary: int) -> Iterator[list[list[int]]]:
    """Collect the ids that reach the table of word vectors while this lasts, one list per forward.

    It looks where every torch model has to pass, so it tells of both sides the same way.
    """
    import torch
    from torch import nn

    seen: list[list[int]] = []

    def look(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if isinstance(module, nn.Embedding) and module.num_embeddings == vocabulary:
            seen.append(inputs[0].flatten().tolist())

    hook = torch.nn.modules.module.register_module_forward_pre_hook(look)
    try:
        yield seen
    finally:
        hook.remove()


def cosine(a: Any, b: Any) -> Any:
    """Return the cosine of each row of `a` with the same row of `b`."""
    return np.sum(a * b, axis=-1) / (np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1))
