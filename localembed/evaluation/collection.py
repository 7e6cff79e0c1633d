"""A collection of documents as files in a workspace of its own, indexed as any folder is."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from localembed.core import hashing, user_folders
from localembed.errors import UsageError
from localembed.evaluation.questions import read_rows

_LONGEST = 200


def home_of(collection: Path) -> Path:
    """Return where a collection's documents and index are kept: they can be made again."""
    identity = hashing.fingerprint({"collection": str(collection.resolve())})
    return user_folders.user_cache() / "eval" / f"{collection.resolve().name}-{identity[:12]}"


def lay_out(collection: Path, folder: Path) -> dict[str, Path]:
    """Write each document of corpus.jsonl as a file, its title as a heading; return id → path.

    What is there already is left as it is, so that nothing is indexed again; what the collection
    no longer has is removed.

    Raises:
        UsageError: corpus.jsonl cannot be understood, or two documents have one id.
    """
    folder.mkdir(parents=True, exist_ok=True)
    present = {path.name for path in folder.iterdir()}
    paths: dict[str, Path] = {}
    for row in read_rows(collection / "corpus.jsonl"):
        path = folder / _file_name(str(row["_id"]))
        if str(row["_id"]) in paths:
            message = f"{collection / 'corpus.jsonl'} has two documents with _id {row['_id']!r}."
            raise UsageError(message)
        paths[str(row["_id"])] = path
        content = _content(row).encode("utf-8", "replace")
        if path.name not in present or path.read_bytes() != content:
            path.write_bytes(content)
    for name in present - {path.name for path in paths.values()}:
        (folder / name).unlink()
    return paths


def _file_name(identity: str) -> str:
    quoted = quote(identity, safe="")
    return f"{quoted if len(quoted) <= _LONGEST else hashing.digest(identity.encode()).hex()}.md"


def _content(row: dict[str, object]) -> str:
    title = " ".join(str(row.get("title") or "").split())
    return f"# {title}\n\n{row['text']}\n" if title else f"{row['text']}\n"
