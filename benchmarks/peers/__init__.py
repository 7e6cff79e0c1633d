"""The contestants of `benchmarks.run`: one file each, one row each in `CONTESTANTS`.

A contestant is a class of the shape `contract.Contestant` named `Contestant` in its file. It runs
in a process of its own (`child`), in this project's environment or in that of the peers, so a file
here imports nothing of its library before it is constructed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Row:
    """One contestant."""

    module: str
    """File in this folder."""
    label: str
    what: str
    """What is called, for the page."""
    packages: tuple[str, ...] = ()
    """Whose versions stand in the result, beside those of `COMMON`."""
    own: bool = False
    """Runs in this project's environment, which has the same model libraries."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Given to the contestant."""
    tuned_by: str = ""
    """File in this folder that runs first and finds the settings."""


COMMON = ("sentence-transformers", "transformers", "tokenizers", "torch", "numpy")
"""Packages that decide how fast a model runs."""

CONTESTANTS: dict[str, Row] = {
    "engine": Row(
        "engine",
        "localembed, torch",
        "tokenize and embed, vectors in memory",
        own=True,
        settings={"engine": "fused"},
    ),
    "engine-openvino": Row(
        "engine",
        "localembed, OpenVINO",
        "the same with the extra `[openvino]`",
        packages=("openvino",),
        own=True,
        settings={"engine": "openvino"},
    ),
    "engine-fp32": Row(
        "engine",
        "localembed, torch, fp32",
        "the same with `--precision fp32`",
        own=True,
        settings={"engine": "fused", "precision": "fp32"},
    ),
    "engine-openvino-fp32": Row(
        "engine",
        "localembed, OpenVINO, fp32",
        "the same with `--precision fp32`",
        packages=("openvino",),
        own=True,
        settings={"engine": "openvino", "precision": "fp32"},
    ),
    "index": Row(
        "index",
        "localembed index",
        "the command on one file a chunk: walk, read, cut, embed, store, full-text index",
        packages=("lancedb", "duckdb"),
        own=True,
    ),
    "encode": Row(
        "encode", "sentence-transformers", "`encode` with defaults, vectors in memory", own=True
    ),
    "encode-tuned": Row(
        "encode",
        "sentence-transformers, tuned",
        "`encode` with the best batch size and number type",
        own=True,
        tuned_by="tuning",
    ),
    "llm": Row(
        "llm_multi",
        "llm embed-multi",
        "`Collection.embed_multi`, which the command calls, into SQLite",
        packages=("llm", "llm-sentence-transformers"),
    ),
    "txtai": Row(
        "txtai_index",
        "txtai",
        "`Embeddings(path=...).index`, into faiss in memory",
        packages=("txtai", "faiss-cpu"),
    ),
    "chromadb": Row(
        "chroma",
        "chromadb",
        "`collection.add` of a `PersistentClient`",
        packages=("chromadb",),
    ),
    "langchain": Row(
        "langchain_index",
        "LangChain",
        "`index` with `HuggingFaceEmbeddings`, records and vectors in memory",
        packages=("langchain-core", "langchain-huggingface"),
    ),
    "llamaindex": Row(
        "llamaindex_pipeline",
        "LlamaIndex",
        "`IngestionPipeline.run` with `HuggingFaceEmbedding`, vectors on the nodes",
        packages=("llama-index-core", "llama-index-embeddings-huggingface"),
    ),
    "haystack": Row(
        "haystack_writer",
        "Haystack",
        "`SentenceTransformersDocumentEmbedder` and `InMemoryDocumentStore`",
        packages=("haystack-ai", "sentence-transformers-haystack"),
    ),
}
