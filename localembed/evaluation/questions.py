"""Questions and what answers them: from BEIR's files, or about the user's own documents."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localembed.errors import UsageError
from localembed.types.queries import SearchHit

_PLACE = re.compile(r"(?P<path>.+?)(?::(?P<line>[1-9]\d*))?")
_JUDGEMENTS = ("qrels.tsv", "qrels/test.tsv")


@dataclass(frozen=True, slots=True)
class Target:
    """A document that answers a question, or the line in it that does."""

    paths: frozenset[str]
    """Every way its path may be written."""
    line: int | None = None
    grade: int = 1

    def is_in(self, hit: SearchHit) -> bool:
        """Tell whether a hit shows it."""
        inside = self.line is None or hit.start_line <= self.line <= hit.end_line
        return hit.path in self.paths and inside


@dataclass(frozen=True, slots=True)
class Question:
    """A question with everything that answers it."""

    text: str
    targets: tuple[Target, ...]
    not_counted: str = ""
    """The path of the question's own text, where it is part of the collection."""

    def gains(self, hits: Sequence[SearchHit]) -> list[int]:
        """Return the grade at each place of a ranking, 0 where something else stands.

        A place is a document with its best chunk; where a line is asked for, it is a chunk.
        """
        by_line = any(target.line is not None for target in self.targets)
        missing = list(self.targets)
        seen = {self.not_counted}
        gains: list[int] = []
        for hit in hits:
            found = next((target for target in missing if target.is_in(hit)), None)
            if found is not None:
                missing.remove(found)
                gains.append(found.grade)
            elif not any(target.is_in(hit) for target in self.targets) and (
                by_line or hit.path not in seen
            ):
                gains.append(0)
            seen.add(hit.path)
        return gains


def read_questions(path: Path) -> tuple[Question, ...]:
    """Read lines of a question and its answers, with tabs between them: `path` or `path:line`.

    Paths are relative to the file's folder. Empty lines and those that begin with # are left out.

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
        found.append(Question(text, targets))
    if not found:
        message = f"{path} has no questions. Write lines of: question, a tab, path or path:line"
        raise UsageError(message)
    return tuple(found)


def _target(place: str, file: Path, number: int) -> Target:
    match = _PLACE.fullmatch(place)
    whole = file.parent / place
    line = None
    if match is not None and match["line"] and not whole.exists():
        whole, line = file.parent / match["path"], int(match["line"])
    if not whole.is_file():
        message = f"{file}:{number} names {place}, which is no file below {file.parent}."
        raise UsageError(message)
    return Target(_names(whole), line)


def _names(path: Path) -> frozenset[str]:
    return frozenset((os.path.abspath(path), os.path.realpath(path)))  # noqa: PTH100


def is_collection(folder: Path) -> bool:
    """Tell whether a folder has BEIR's layout."""
    return folder.is_dir() and (folder / "corpus.jsonl").is_file()


def read_collection(folder: Path, paths: Mapping[str, Path]) -> tuple[Question, ...]:
    """Read the questions of a folder in BEIR's layout that any document answers.

    Args:
        folder: with queries.jsonl, and qrels.tsv or qrels/test.tsv.
        paths: document's id → where it was laid out.

    Raises:
        UsageError: a file is missing or cannot be understood.
    """
    queries = {str(row["_id"]): str(row["text"]) for row in read_rows(folder / "queries.jsonl")}
    targets: dict[str, list[Target]] = {}
    for query, document, grade in read_judgements(folder):
        if grade > 0 and query in queries and document in paths and query != document:
            targets.setdefault(query, []).append(Target(_names(paths[document]), grade=grade))
    if not targets:
        message = f"{folder} judges none of its queries. Check qrels.tsv"
        raise UsageError(message)
    return tuple(
        Question(queries[query], tuple(right), str(paths.get(query, "")))
        for query, right in targets.items()
    )


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a file of JSON lines that have an `_id` and a `text`.

    Raises:
        UsageError: it is missing, or a line is no such object.
    """
    for number, line in _lines(path):
        try:
            row = json.loads(line)
        except ValueError as error:
            message = f"{path}:{number} is no JSON: {error}."
            raise UsageError(message) from error
        if not isinstance(row, dict) or not {"_id", "text"} <= row.keys():
            message = f'{path}:{number} must be an object with "_id" and "text".'
            raise UsageError(message)
        yield row


def read_judgements(folder: Path) -> Iterator[tuple[str, str, int]]:
    """Yield (query's id, document's id, grade) of a folder in BEIR's layout.

    Raises:
        UsageError: there is no such file, or a line of it is something else.
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
                message = f"{path}:{number} must be query-id, corpus-id and score, with tabs."
                raise UsageError(message) from error


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines that are not empty, numbered; only a line feed ends one."""
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, ValueError) as error:
        message = f"{path} cannot be read: {error}."
        raise UsageError(message) from error
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, line.rstrip("\r")
