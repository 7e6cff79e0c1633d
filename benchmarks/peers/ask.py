"""Ask a peer's index one question from a shell: `benchmarks.latency` fills it and takes the time.

    python -m benchmarks.peers.ask PEER fill|query ORDER.json [QUESTION]

None of them has to embed the index: texts and vectors are given to each in the way that it offers.
`llm` has a command for questions; for the others it is the shortest program that their own pages
show.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_BEST = 10
_STEP = 5000


def _texts_and_vectors(order: Mapping[str, str]) -> tuple[list[str], npt.NDArray[np.float32]]:
    import numpy as np

    lines = Path(order["texts"]).read_text(encoding="utf-8").split("\n")
    texts = [json.loads(line)["text"] for line in lines if line]
    return texts, np.load(order["vectors"])


def _prepare_llm(order: Mapping[str, str]) -> None:
    """Let `llm` find the model and its database below a folder of its own."""
    name = order["model"]
    os.environ["LLM_USER_PATH"] = order["scratch"]
    models = Path(order["scratch"], "sentence-transformers.json")
    models.write_text(json.dumps([{"name": name}]))


def _fill_llm(order: Mapping[str, str]) -> None:
    _prepare_llm(order)
    import llm
    import sqlite_utils

    texts, vectors = _texts_and_vectors(order)
    path = Path(order["scratch"], "embeddings.db")
    llm.Collection(
        "texts",
        sqlite_utils.Database(path),
        model=llm.get_embedding_model(f"sentence-transformers/{order['model']}"),
    )
    with sqlite3.connect(path) as database:
        (collection,) = database.execute("SELECT id FROM collections").fetchone()
        database.executemany(
            "INSERT INTO embeddings (collection_id, id, embedding, content) VALUES (?, ?, ?, ?)",
            (
                (collection, str(number), llm.encode(vector.tolist()), text)
                for number, (text, vector) in enumerate(zip(texts, vectors, strict=True))
            ),
        )


def _query_llm(order: Mapping[str, str], question: str) -> None:
    _prepare_llm(order)
    from llm.cli import cli

    database = str(Path(order["scratch"], "embeddings.db"))
    cli(["similar", "texts", "-c", question, "-n", str(_BEST), "-d", database])


def _fill_chromadb(order: Mapping[str, str]) -> None:
    collection = _chroma_collection(order)
    texts, vectors = _texts_and_vectors(order)
    for start in range(0, len(texts), _STEP):
        part = slice(start, start + _STEP)
        ids = [str(number) for number in range(*part.indices(len(texts)))]
        collection.add(ids=ids, embeddings=vectors[part], documents=texts[part])


def _query_chromadb(order: Mapping[str, str], question: str) -> None:
    found = _chroma_collection(order).query(query_texts=[question], n_results=_BEST)
    _print(zip(found["distances"][0], found["documents"][0], strict=True))


def _chroma_collection(order: Mapping[str, str]) -> Any:  # noqa: ANN401 - chromadb
    import chromadb
    from chromadb.utils.embedding_functions import SentenceTransformerEmbeddingFunction

    function = SentenceTransformerEmbeddingFunction(model_name=order["model"])
    client = chromadb.PersistentClient(str(Path(order["scratch"], "chroma")))
    return client.get_or_create_collection("texts", embedding_function=function)


def _fill_txtai(order: Mapping[str, str]) -> None:
    from txtai import Embeddings

    texts, vectors = _texts_and_vectors(order)
    rows = dict(zip(texts, vectors, strict=True))
    # Stored with its texts, and afterwards with the model that embeds questions.
    embeddings = Embeddings(
        method="external",
        transform=lambda given: [rows[text] for text in given],
        content=True,
    )
    embeddings.index(texts)
    embeddings.config["path"], embeddings.config["method"] = order["model"], "transformers"
    embeddings.config.pop("transform")
    embeddings.save(str(Path(order["scratch"], "txtai")))


def _query_txtai(order: Mapping[str, str], question: str) -> None:
    from txtai import Embeddings

    embeddings = Embeddings()
    embeddings.load(str(Path(order["scratch"], "txtai")))
    _print((row["score"], row["text"]) for row in embeddings.search(question, _BEST))


def _print(rows: Any) -> None:  # noqa: ANN401 - (score, text), however they come
    for score, text in rows:
        sys.stdout.write(f"{score:.3f} {text[:60]!r}\n")


Fill = Callable[[Mapping[str, str]], None]
Query = Callable[[Mapping[str, str], str], None]
PEERS: dict[str, tuple[Fill, Query, str]] = {
    "llm": (_fill_llm, _query_llm, "`llm similar`"),
    "chromadb": (_fill_chromadb, _query_chromadb, "a program with chromadb's `collection.query`"),
    "txtai": (_fill_txtai, _query_txtai, "a program with txtai's `Embeddings.search`"),
}
"""Name, which is that of the package too → how to fill it, how to ask it, what is asked."""


def main() -> None:
    """Fill or ask."""
    fill, query, _ = PEERS[sys.argv[1]]
    order = json.loads(Path(sys.argv[3]).read_text())
    if sys.argv[2] == "fill":
        fill(order)
    else:
        query(order, sys.argv[4])


if __name__ == "__main__":
    main()
