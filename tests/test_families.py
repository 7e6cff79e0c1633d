"""Every architecture family gets the ids and the vectors of sentence-transformers' own `encode`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from localembed.chunking.chunker import Chunker
from localembed.chunking.rules import ChunkRules
from localembed.embedding import EngineOptions, load_embedder, load_tokenizer, read_shape
from localembed.types.documents import Chunk, Document
from localembed.types.models import Embedder, ModelSpec, Tokenizer
from tests.families import FAMILIES, QUERIES, TEXTS, Family, build, cosine, ids_seen


def load(spec: ModelSpec, folder: Path) -> tuple[Tokenizer, Embedder]:
    """Load a model as the product does; the only place where fp32 is requested."""
    options = EngineOptions(precision="fp32", device="cpu", engine="torch")
    return load_tokenizer(spec, folder), load_embedder(spec, folder, options)


@dataclass(frozen=True, slots=True)
class Loaded:
    """One family's model as the library itself loads it."""

    family: Family
    folder: Path
    reference: Any


@pytest.fixture(scope="session")
def models(tmp_path_factory) -> dict[str, Loaded]:
    """All models, built once and loaded as their users load them."""
    from sentence_transformers import SentenceTransformer

    home = tmp_path_factory.mktemp("families")
    found = {}
    for family in FAMILIES:
        folder = home / family.name
        folder.mkdir()
        build(family, folder)
        reference = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
        found[family.name] = Loaded(family, folder, reference)
    return found


@pytest.fixture(scope="session", params=[family.name for family in FAMILIES])
def loaded(request, models) -> Loaded:
    """Each family in turn."""
    model: Loaded = models[request.param]
    return model


@pytest.fixture(scope="session", params=[False, True], ids=["bare", "prompted"])
def ours(request, loaded) -> tuple[Tokenizer, Embedder]:
    """The same model through our code, without and with a prompt in front of documents."""
    prompt = loaded.family.document_prompt if request.param else ""
    return load(loaded.family.spec(document_prompt=prompt), loaded.folder)


def chunks(tokenizer: Tokenizer, embedder: Embedder) -> list[Chunk]:
    """Return the chunks of texts that are one chunk each."""
    chunker = Chunker(tokenizer, str, ChunkRules(100_000, 0), embedder.spec.document_prompt)
    documents = [Document(b"d" * 16, "r", b"a", text, b"", "text", 0) for text in TEXTS]
    return [chunked.chunks[0] for chunked in chunker(documents)]


def prompted(embedder: Embedder, chunk: Chunk) -> str:
    return embedder.spec.document_prompt + chunk.text


@pytest.mark.parametrize("name", [family.name for family in FAMILIES])
def test_the_vectors_of_different_texts_differ(models, name):
    """Otherwise no comparison below could fail."""
    vectors = models[name].reference.encode(list(TEXTS), normalize_embeddings=True)
    products = vectors @ vectors.T - 2 * np.eye(len(TEXTS))
    assert products.max() < 0.999


def test_the_model_gets_the_ids_that_encode_gives_it(loaded, ours):
    if loaded.family.transformer is None:
        pytest.skip("our table of word vectors is not a torch module, so its ids cannot be seen")
    tokenizer, embedder = ours
    words = len(loaded.reference.tokenizer.get_vocab())
    for chunk in chunks(tokenizer, embedder):
        with ids_seen(words) as mine:
            embedder.embed_ids([chunk.token_ids])
        with ids_seen(words) as theirs:
            loaded.reference.encode(prompted(embedder, chunk))
        assert len(mine) == len(theirs) == 1
        length = len(theirs[0])
        assert mine[0][:length] == theirs[0]
        assert set(mine[0][length:]) <= {read_shape(loaded.folder).pad_id}


def test_documents_get_the_vectors_of_encode(loaded, ours):
    tokenizer, embedder = ours
    found = chunks(tokenizer, embedder)
    mine = embedder.embed_ids([chunk.token_ids for chunk in found])
    theirs = loaded.reference.encode([prompted(embedder, chunk) for chunk in found])
    assert cosine(mine, theirs).min() >= 0.99999


def test_a_vector_does_not_depend_on_its_batch(ours):
    tokenizer, embedder = ours
    ids = [chunk.token_ids for chunk in chunks(tokenizer, embedder)]
    together = embedder.embed_ids(ids)
    alone = np.concatenate([embedder.embed_ids([item]) for item in ids])
    assert cosine(together, alone).min() >= 0.999999


@pytest.mark.parametrize("query", QUERIES, ids=["sentence", "letter"])
def test_a_query_gets_the_vector_of_its_prompt_and_text(loaded, ours, query):
    _, embedder = ours
    theirs = loaded.reference.encode(loaded.family.query_prompt + query)
    assert cosine(embedder.embed_query(query), theirs) >= 0.99999
