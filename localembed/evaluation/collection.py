"""Write a collection's documents as files, to be indexed like any folder in a workspace."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from localembed.core import hashing, private, user_folders
from localembed.errors import UsageError
from localembed.evaluation.questions import read_rows

_MAX_NAME_CHARS = 200


def home_of(collection: Path) -> Path:
    """Return the cache folder for a collection's documents and index."""
    identity = hashing.fingerprint({"collection": str(collection.resolve())})
    return user_folders.user_cache() / "eval" / f"{collection.resolve().name}-{identity[:12]}"


def lay_out(collection: Path, folder: Path) -> dict[str, Path]:
    """Write each document of corpus.jsonl as a file with its title as a heading; return id → path.

    Unchanged files are not rewritten, so that they are not indexed again; files that are no longer
    in the collection are removed.

    Raises:
        UsageError: corpus.jsonl is invalid, or two documents have the same id.
    """
    private.make_folder(folder)
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
            with private.create_file(path) as file:
                file.write(content)
    for name in present - {path.name for path in paths.values()}:
        (folder / name).unlink()
    return paths


def _file_name(identity: str) -> str:
    quoted = quote(identity, safe="")
    if len(quoted) > _MAX_NAME_CHARS:
        return f"{hashing.digest(identity.encode()).hex()}.md"
    return f"{quoted}.md"


def _content(row: dict[str, object]) -> str:
    title = " ".join(str(row.get("title") or "").split())
    return f"# {title}\n\n{row['text']}\n" if title else f"{row['text']}\n"
