"""What a table is: one space, one chunking, one vector type, one schema."""

from __future__ import annotations

from dataclasses import dataclass

SCHEMA_VERSION = 1
"""Raise it when a column of the rows changes: it is part of what a table is."""


@dataclass(frozen=True, slots=True)
class TableFacts:
    """What a table is; stored in its schema, so that it explains itself."""

    name: str
    uuid: str
    format: int
    model: str
    space_id: str
    dim: int
    max_tokens: int
    overlap_tokens: int
    vector_type: str
    """float16 or float32."""
