"""head.json: the file that tells readers which version of which table to open."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from localembed.core.files import read_json, write_json
from localembed.errors import StorageError, TooNewError
from localembed.store.layout import FORMAT, Layout, is_table_name
from localembed.types.tables import TableFacts, TableHead, VectorIndex

_TYPES: Mapping[str, tuple[type, ...]] = {
    "str": (str,), "int": (int,), "float": (int, float), "bool": (bool,),
}  # fmt: skip
"""Annotation of a field → types that its value may have."""
_MAX_NUMBER = 1 << 63
_ID = re.compile(r"[\w -]+")


@dataclass(frozen=True, slots=True)
class Head:
    """The tables and versions that readers open."""

    default: str | None = None
    tables: Mapping[str, TableHead] = field(default_factory=dict)

    def table(self, model: str | None = None) -> tuple[str, TableHead] | None:
        """Return the name and entry of the default table, or of a model's newest one."""
        if model is None or (self.default and self.tables[self.default].model == model):
            return (self.default, self.tables[self.default]) if self.default else None
        entries = [(name, entry) for name, entry in self.tables.items() if entry.model == model]
        return max(entries, key=lambda item: (item[1].complete, item[1].run), default=None)

    def with_table(self, name: str, entry: TableHead, *, default: bool) -> Head:
        """Return a head with one table added or replaced."""
        chosen = name if default or self.default is None else self.default
        return replace(self, default=chosen, tables={**self.tables, name: entry})

    def without(self, name: str) -> Head:
        """Return a head without a table that is not the default."""
        return replace(self, tables={k: v for k, v in self.tables.items() if k != name})


def read_head(layout: Layout) -> Head:
    """Return the head, an empty one if nothing has been published yet.

    Raises:
        TooNewError: a newer localembed wrote it.
        StorageError: it cannot be read.
    """
    try:
        raw = read_json(layout.head)
    except FileNotFoundError:
        return Head()
    except PermissionError as error:
        message = (
            f"{layout.head} cannot be read: permission denied. Fix its permissions, or run the "
            "command as its owner."
        )
        raise StorageError(message) from error
    except (OSError, ValueError) as error:
        message = (
            f"{layout.head} cannot be read: {error}. Run: localembed doctor --repair (the vectors "
            "are kept)"
        )
        raise StorageError(message) from error
    try:
        check_format(raw.get("format"), layout)
        tables = {_table_name(name): table_head(entry) for name, entry in raw["tables"].items()}
        default = raw["default"]
        if default is not None:
            tables[default]  # raise if the default table is missing
        return Head(default, tables)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        message = (
            f"{layout.head} is damaged: {error!r}. Run: localembed doctor --repair (the vectors "
            "are kept)"
        )
        raise StorageError(message) from error


def _table_name(name: str) -> str:
    """Return the name of a table.

    Raises:
        KeyError: no table of ours has it; as a path, it could lead out of the workspace.
    """
    if not is_table_name(name):
        raise KeyError(name)
    return name


def table_head(raw: Mapping[str, Any]) -> TableHead:
    """Return one table's entry; unknown keys are ignored.

    Raises:
        TypeError: a key is missing, or a value is of the wrong type.
        ValueError: a number is negative, or an id is none of ours.
    """
    names = {entry.name for entry in fields(TableHead)}
    known = {key: value for key, value in raw.items() if key in names}
    index = known.get("vector_index")
    vector_index = VectorIndex(**index) if index else None
    if vector_index is not None:
        _check_types(vector_index)
    roots = {str(root): int(number) for root, number in known.get("roots", {}).items()}
    entry = TableHead(**{**known, "vector_index": vector_index, "roots": roots})
    _check_types(entry)
    if not _ID.fullmatch(entry.space_id):  # part of a file's name (see `pending_vectors`)
        message = f"space_id is {entry.space_id!r}"
        raise ValueError(message)
    return entry


def _check_types(record: TableHead | VectorIndex) -> None:
    for entry in fields(record):
        value, expected = getattr(record, entry.name), _TYPES.get(str(entry.type))
        is_flag = isinstance(value, bool) and bool not in (expected or ())
        if expected and (is_flag or not isinstance(value, expected)):
            message = f"{entry.name} is {value!r}"
            raise TypeError(message)
        if isinstance(value, int | float) and not 0 <= value < _MAX_NUMBER:
            message = f"{entry.name} is {value!r}"
            raise ValueError(message)


def check_format(found: object, layout: Layout) -> None:
    """Check that this version can read the workspace's format.

    Raises:
        TooNewError: the format is newer than this version supports.
    """
    if isinstance(found, int) and found > FORMAT:
        message = (
            f"The workspace {layout.folder} has format {found}; this localembed reads up to "
            f"{FORMAT}. Run: pip install --upgrade localembed"
        )
        raise TooNewError(message)


def publish_head(layout: Layout, head: Head) -> None:
    """Publish a new state to readers, atomically and durably."""
    tables = {name: asdict(entry) for name, entry in head.tables.items()}
    write_json(layout.head, {"format": FORMAT, "default": head.default, "tables": tables})


def facts_of(name: str, entry: TableHead) -> TableFacts:
    """Return the facts of a table from its entry in head.json."""
    known = {field.name for field in fields(TableFacts)}
    kept: Mapping[str, object] = {k: v for k, v in asdict(entry).items() if k in known}
    return TableFacts(name=name, format=FORMAT, **kept)  # type: ignore[arg-type]
