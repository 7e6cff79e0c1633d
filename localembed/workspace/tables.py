"""Select the table that a run writes, by model, chunking and vector type.

A value that is not set (by flag, variable or config.toml) is that of the default table, so a plain
`localembed index` updates the table that queries search.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from localembed import models
from localembed.chunking import clean
from localembed.chunking.rules import ChunkRules
from localembed.core import hashing
from localembed.embedding import backend_of, load_tokenizer
from localembed.errors import ModelChangedError, ModelError, ModelNotFoundError, UsageError
from localembed.models import LocatedModel
from localembed.store.head import Head, facts_of, read_head
from localembed.store.layout import FORMAT, Layout
from localembed.types.tables import SCHEMA_VERSION, TableFacts, TableHead
from localembed.workspace.settings import PRESETS, Sourced

_MIN_TOKENS = 16
_DEFAULT_TOKENS = 512
"""Default maximum tokens per chunk: a model that reads a book as one chunk finds no passage."""


@dataclass(frozen=True, slots=True)
class TableSelection:
    """A table to write, with the model that fills it."""

    facts: TableFacts
    model: LocatedModel | None
    """Model whose tokenizer chunks texts; None if that is missing as well."""
    rules: ChunkRules
    becomes_default: bool
    notices: tuple[str, ...]
    """Sentences about requests that could not be met in full."""
    problem: ModelError | None = None
    """Reason why the model cannot embed; whatever embeds nothing works all the same."""

    def usable_model(self) -> LocatedModel:
        """Return the model.

        Raises:
            ModelError: it cannot embed.
        """
        if self.model is None or self.problem is not None:
            raise self.problem or ModelNotFoundError(self.facts.model)
        return self.model


def is_remote(sourced: Sourced, layout: Layout) -> bool:
    """Tell whether the model that embeds is remote; one that is unknown is not."""
    name = _chosen_model(sourced, read_head(layout))
    if name not in models.load_specs(layout):
        return False
    return backend_of(models.find_spec(name, layout)).provider is not None


def _chosen_model(sourced: Sourced, head: Head) -> str:
    """Return the name of the model that embeds: the requested one, else the default table's."""
    current = head.tables.get(head.default) if head.default else None
    return current.model if current and not sourced.given("model") else sourced.settings.model


def select_table(sourced: Sourced, head: Head, layout: Layout) -> TableSelection:
    """Return the table that the settings name.

    Raises:
        ModelNotFoundError: the model is unknown or not installed.
        UsageError: the chunk size or overlap cannot work.
    """
    settings = sourced.settings
    name = _chosen_model(sourced, head)
    found = head.table(name)
    same = found[1] if found else None
    try:
        if settings.dim is None and same is not None:
            model = models.open_stored(name, same.dim, layout)
        else:
            model = models.open_model(name, layout, dim=settings.dim)
    except ModelError as problem:
        if found is None or not _is_as_set(sourced, found[1]):
            raise
        return _without_model(*found, head, layout, problem)
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


def _is_as_set(sourced: Sourced, entry: TableHead) -> bool:
    """Tell whether the settings, as far as they are given, are those of a table."""
    settings = sourced.settings
    tokens = settings.chunk_tokens or (PRESETS[settings.preset] if settings.preset else None)
    given = {
        "dim": (settings.dim, entry.dim),
        "chunk_tokens": (tokens, entry.max_tokens),
        "overlap": (settings.overlap if sourced.given("overlap") else None, entry.overlap_tokens),
        "vector_type": (
            settings.vector_type if sourced.given("vector_type") else None,
            entry.vector_type,
        ),
    }
    return all(asked in (None, stored) for asked, stored in given.values())


def _without_model(
    name: str, entry: TableHead, head: Head, layout: Layout, problem: ModelError
) -> TableSelection:
    """Return a table as it is: a run can still do whatever embeds nothing."""
    return TableSelection(
        facts=facts_of(name, entry),
        model=models.open_tokenizer(entry.model, entry.dim, entry.space_id, layout),
        rules=ChunkRules(entry.max_tokens, entry.overlap_tokens),
        becomes_default=name == head.default,
        notices=(),
        problem=problem,
    )


def model_of(entry: TableHead, layout: Layout) -> LocatedModel:
    """Return exactly the model that a table was built with.

    Raises:
        ModelChangedError: its files or settings have changed.
    """
    model = models.open_stored(entry.model, entry.dim, layout)
    if model.space_id != entry.space_id:
        message = (
            f"The files or settings of model '{entry.model}' are not those the index was built "
            "with. Restore them, or build a new index with: localembed index"
        )
        raise ModelChangedError(message)
    return model


def _rules(
    sourced: Sourced, model: LocatedModel, current: TableHead | None
) -> tuple[ChunkRules, tuple[str, ...]]:
    """Return the rules for chunking: as set, else the table's, else the defaults."""
    settings = sourced.settings
    requested = settings.chunk_tokens or (PRESETS[settings.preset] if settings.preset else None)
    notices: tuple[str, ...] = ()
    if current is not None and requested is None:
        max_tokens = current.max_tokens
    else:
        limit = _limit(model)
        max_tokens = min(requested or _DEFAULT_TOKENS, limit)
        if requested and requested > limit:
            notices = (
                f"Chunks of {requested} tokens were requested, but model '{model.spec.name}' reads "
                f"at most {limit}, so chunks have at most {limit}.",
            )
    if sourced.given("overlap"):
        overlap = settings.overlap
    else:
        overlap = min(current.overlap_tokens if current else settings.overlap, max_tokens // 4)
    if overlap > max_tokens // 3:
        message = (
            f"An overlap of {overlap} tokens is too large for chunks of {max_tokens}. Use "
            f"--overlap {max_tokens // 4}"
        )
        raise UsageError(message)
    return ChunkRules(max_tokens, overlap), notices


def _limit(model: LocatedModel) -> int:
    """Return how many tokens of text the model reads after its prompt and special tokens."""
    tokenizer = load_tokenizer(model.spec, model.folder)
    prompt = len(tokenizer([model.spec.document_prompt])[0].ids)
    limit = model.spec.max_tokens - tokenizer.special_tokens - prompt
    if limit < _MIN_TOKENS:
        message = (
            f"Model '{model.spec.name}' leaves {limit} tokens for text after its prompt. Fix "
            "max_tokens or document_prompt in models.toml."
        )
        raise UsageError(message)
    return limit


def _table_name(model: LocatedModel, rules: ChunkRules, vector_type: str) -> str:
    """Return the table's name, unique per space, chunking, vector type and schema."""
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
