"""Read questions and their answers: from BEIR's files, or about the user's own documents."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localembed.core.text import line_number
from localembed.errors import UsageError
from localembed.types.queries import SearchHit

_PLACE = re.compile(r"(?P<path>.+?)(?::(?P<line>[1-9]\d*))?")
_JUDGEMENTS = ("qrels.tsv", "qrels/test.tsv")


@dataclass(frozen=True, slots=True)
class Target:
    """A document that answers a question, or a line in it."""

    paths: frozenset[str]
    """All forms of its path: absolute and resolved."""
    line: int | None = None
    grade: int = 1

    def is_in(self, hit: SearchHit) -> bool:
        """Tell whether a hit contains it."""
        inside = self.line is None or hit.start_line <= self.line <= hit.end_line
        return hit.path in self.paths and inside


@dataclass(frozen=True, slots=True)
class Question:
    """A question with all its answers."""

    text: str
    targets: tuple[Target, ...]
    not_counted: frozenset[str] = frozenset()
    """Paths of the document that holds the question, if it is part of the collection."""

    def gains(self, hits: Sequence[SearchHit]) -> list[int]:
        """Return the grade at each rank, 0 for a document that is not an answer.

        A rank is a document with its best chunk; if an answer is a line, it is a chunk.
        """
        by_line = any(target.line is not None for target in self.targets)
        missing = list(self.targets)
        seen: set[str] = set()
        gains: list[int] = []
        for hit in hits:
            found = next((target for target in missing if target.is_in(hit)), None)
            if found is not None:
                missing.remove(found)
                gains.append(found.grade)
            elif (
                hit.path not in self.not_counted
                and not any(target.is_in(hit) for target in self.targets)
                and (by_line or hit.path not in seen)
            ):
                gains.append(0)
            seen.add(hit.path)
        return gains


def read_questions(path: Path) -> tuple[Question, ...]:
    """Read lines of a question and its answers (`path` or `path:line`), separated by tabs.

    Paths are relative to the file's folder. Empty lines and lines that begin with # are ignored.
    The file itself answers none of its questions, though it may be indexed.

    Raises:
        UsageError: a line has no answer, or names a file that does not exist.
    """
    found = []
    for number, line in _lines(path):
        if line.startswith("#"):
            continue
        text, *places = (part.strip() for part in line.split("\t"))
        places = [place for place in places if place]
        if not text or not places:
            message = f"{path}:{number} must be a question, a tab, and a path or path:line."
            raise UsageError(message)
        targets = tuple(_target(place, path, number) for place in places)
        found.append(Question(text, targets, _names(path)))
    if not found:
        message = f"{path} has no questions. Each line must be: question, a tab, path or path:line"
        raise UsageError(message)
    return tuple(found)


def _target(place: str, file: Path, number: int) -> Target:
    match = _PLACE.fullmatch(place)
    whole = file.parent / place
    line = None
    if match is not None and match["line"] and not whole.exists():
        whole, line = file.parent / match["path"], line_number(match["line"])
    if not whole.is_file():
        message = f"{file}:{number} names {place}, which is not a file below {file.parent}."
        raise UsageError(message)
    return Target(_names(whole), line)


def _names(path: Path) -> frozenset[str]:
    return frozenset((os.path.abspath(path), os.path.realpath(path)))  # noqa: PTH100


def is_collection(folder: Path) -> bool:
    """Tell whether a folder has BEIR's layout."""
    return folder.is_dir() and (folder / "corpus.jsonl").is_file()


def read_collection(folder: Path, paths: Mapping[str, Path]) -> tuple[Question, ...]:
    """Read the questions of a folder in BEIR's layout that have an answer.

    Args:
        folder: contains queries.jsonl, and qrels.tsv or qrels/test.tsv.
        paths: document id → path of its file.

    Raises:
        UsageError: a file is missing or invalid.
    """
    queries = {str(row["_id"]): str(row["text"]) for row in read_rows(folder / "queries.jsonl")}
    targets: dict[str, list[Target]] = {}
    for query, document, grade in read_judgements(folder):
        if grade > 0 and query in queries and document in paths and query != document:
            targets.setdefault(query, []).append(Target(_names(paths[document]), grade=grade))
    if not targets:
        message = f"{folder} has no relevant documents for its queries. Check qrels.tsv"
        raise UsageError(message)
    return tuple(
        Question(
            queries[query], tuple(right), frozenset({str(paths[query])} if query in paths else ())
        )
        for query, right in targets.items()
    )


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a JSON Lines file; each has an `_id` and a `text`.

    Raises:
        UsageError: the file is missing, or a line is not such an object.
    """
    for number, line in _lines(path):
        try:
            row = json.loads(line)
        except ValueError as error:
            message = f"{path}:{number} is not JSON: {error}."
            raise UsageError(message) from error
        if not isinstance(row, dict) or not {"_id", "text"} <= row.keys():
            message = f'{path}:{number} must be an object with "_id" and "text".'
            raise UsageError(message)
        yield row


def read_judgements(folder: Path) -> Iterator[tuple[str, str, int]]:
    """Yield (query id, document id, grade) of a folder in BEIR's layout.

    Raises:
        UsageError: the file is missing or invalid.
    """
    path = next((folder / name for name in _JUDGEMENTS if (folder / name).is_file()), None)
    if path is None:
        message = f"{folder} has no {' or '.join(_JUDGEMENTS)}."
        raise UsageError(message)
    for number, line in _lines(path):
        try:
            query, document, grade = line.split("\t")
            yield query, document, int(grade)
        except ValueError as error:
            if number > 1:
                message = f"{path}:{number} must be query-id, corpus-id, score, with tabs."
                raise UsageError(message) from error


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the non-empty lines with their numbers; only a line feed ends a line."""
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, ValueError) as error:
        message = f"{path} cannot be read: {error}."
        raise UsageError(message) from error
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, line.rstrip("\r")
