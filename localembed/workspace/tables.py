"""Which table a run writes: model, chunking and vector type, as somebody asked or as they were.

A value that nobody gave (flag, variable, config.toml) stays what it is in the default table, so a
bare `localembed index` refreshes what queries are answered from.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from localembed import models
from localembed.chunking import clean
from localembed.chunking.rules import ChunkRules
from localembed.core import hashing
from localembed.embedding import backend_of, load_tokenizer
from localembed.errors import ModelChangedError, UsageError
from localembed.models import LocatedModel
from localembed.store.head import Head, read_head
from localembed.store.layout import FORMAT, Layout
from localembed.types.tables import SCHEMA_VERSION, TableFacts, TableHead
from localembed.workspace.settings import PRESETS, Sourced

_MIN_TOKENS = 16
_USUAL_TOKENS = 512
"""Models that read a book as one chunk find no passage in it."""


@dataclass(frozen=True, slots=True)
class TableSelection:
    """A table to write, with the model that fills it."""

    facts: TableFacts
    model: LocatedModel
    rules: ChunkRules
    becomes_default: bool
    notices: tuple[str, ...]
    """What was asked for and could not be had in full."""


def is_remote(sourced: Sourced, layout: Layout) -> bool:
    """Tell whether a provider has the model that embeds.

    Raises:
        ModelNotFoundError: nobody knows its name.
    """
    name = _chosen_model(sourced, read_head(layout))
    return backend_of(models.find_spec(name, layout)).provider is not None


def _chosen_model(sourced: Sourced, head: Head) -> str:
    """Return the name of the model that embeds: the one that was asked for, else the table's."""
    current = head.tables.get(head.default) if head.default else None
    return current.model if current and not sourced.given("model") else sourced.settings.model


def select_table(sourced: Sourced, head: Head, layout: Layout) -> TableSelection:
    """Return the table that the settings name.

    Raises:
        ModelNotFoundError: the model is unknown or not here.
        UsageError: a chunk size that cannot work.
    """
    settings = sourced.settings
    name = _chosen_model(sourced, head)
    found = head.table(name)
    same = found[1] if found else None
    if settings.dim is None and same is not None:
        model = models.open_stored(name, same.dim, layout)
    else:
        model = models.open_model(name, layout, dim=settings.dim)
    rules, notices = _rules(sourced, model, same)
    kept_type = same is not None and not sourced.given("vector_type")
    vector_type = same.vector_type if same and kept_type else settings.vector_type
    facts = TableFacts(
        name=_table_name(model, rules, vector_type),
        uuid=uuid.uuid4().hex,
        format=FORMAT,
        model=name,
        space_id=model.space_id,
        dim=model.spec.dim,
        max_tokens=rules.max_tokens,
        overlap_tokens=rules.overlap_tokens,
        vector_type=vector_type,
    )
    named_by_flag = sourced.origins["model"] == "flag"
    current = head.tables.get(head.default) if head.default else None
    becomes_default = current is None or current.model == name or not named_by_flag
    return TableSelection(facts, model, rules, becomes_default, notices)


def model_of(entry: TableHead, layout: Layout) -> LocatedModel:
    """Return the model that a table was made with, and no other.

    Raises:
        ModelChangedError: its files or settings are others now.
    """
    model = models.open_stored(entry.model, entry.dim, layout)
    if model.space_id != entry.space_id:
        message = (
            f"The files or settings of model '{entry.model}' are not those the index was made "
            "with. Put them back, or build a new index with: localembed index"
        )
        raise ModelChangedError(message)
    return model


def _rules(
    sourced: Sourced, model: LocatedModel, current: TableHead | None
) -> tuple[ChunkRules, tuple[str, ...]]:
    """Return where to cut: as given, else as the table has it, else as usual."""
    settings = sourced.settings
    asked = settings.chunk_tokens or (PRESETS[settings.preset] if settings.preset else None)
    notices: tuple[str, ...] = ()
    if current is not None and asked is None:
        most = current.max_tokens
    else:
        limit = _limit(model)
        most = min(asked or _USUAL_TOKENS, limit)
        if asked and asked > limit:
            notices = (
                f"Chunks of {asked} tokens are asked for; model '{model.spec.name}' reads {limit}, "
                f"so chunks have at most {limit}.",
            )
    if sourced.given("overlap"):
        overlap = settings.overlap
    else:
        overlap = min(current.overlap_tokens if current else settings.overlap, most // 4)
    if overlap > most // 3:
        message = (
            f"An overlap of {overlap} tokens is too much for chunks of {most}. Use --overlap "
            f"{most // 4}"
        )
        raise UsageError(message)
    return ChunkRules(most, overlap), notices


def _limit(model: LocatedModel) -> int:
    """Return how many tokens of text the model reads beside its prompt and special tokens."""
    tokenizer = load_tokenizer(model.spec, model.folder)
    prompt = len(tokenizer([model.spec.document_prompt])[0].ids)
    limit = model.spec.max_tokens - tokenizer.special_tokens - prompt
    if limit < _MIN_TOKENS:
        message = (
            f"Model '{model.spec.name}' leaves {limit} tokens for text beside its prompt. Fix "
            "max_tokens or document_prompt in models.toml."
        )
        raise UsageError(message)
    return limit


def _table_name(model: LocatedModel, rules: ChunkRules, vector_type: str) -> str:
    """Return the name of the table: one space, one chunking, one vector type, one schema."""
    spec = model.spec
    table_id = hashing.fingerprint(
        {
            "space": model.space_id,
            "chunking": rules.facts,
            **backend_of(spec).tokenizer_facts(),
            "clean": clean.VERSION,
            "vector_type": vector_type,
            "schema": SCHEMA_VERSION,
        }
    )
    return f"chunks_{table_id[:12]}"
