"""How many chunks of code have the definition around them in their heading.

    python -m benchmarks.headings.measure FOLDER --python .venv-headings/bin/python

A chunk's definition is the innermost one, of those that tree-sitter finds, around its first
character. A false heading is one at whose place tree-sitter finds none.
"""

from __future__ import annotations

import argparse
import bisect
import json
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import localembed.models
from benchmarks.machine import publish
from localembed.chunking.chunker import Chunker
from localembed.chunking.clean import clean
from localembed.chunking.rules import ChunkRules
from localembed.chunking.structure import find_headings
from localembed.embedding.tokenizers.fast import FastTokenizer
from localembed.readers import code_language, document_kind
from localembed.types.documents import Document

GRAMMARS = Path(__file__).with_name("grammars.py")
SUFFIXES = (".py", ".java", ".c", ".h", ".hpp", ".cc", ".cpp", ".go", ".rs", ".ts", ".js", ".rb",
            ".sh")  # fmt: skip
_MODEL = "all-MiniLM-L6-v2"


class Parsed(NamedTuple):
    """A definition that tree-sitter found, in characters."""

    start: int
    end: int
    name_start: int
    name: str


@dataclass
class Counts:
    """Figures of one language."""

    files: int = 0
    chunks: int = 0
    enclosed: int = 0
    """Chunks that begin inside a definition."""
    named: int = 0
    """Those whose heading has the definition's name."""
    headings: int = 0
    false: int = 0
    """Headings at whose place tree-sitter finds no definition."""
    unparsed: int = 0
    """Headings inside macros and errors, where tree-sitter looks for none; not counted above."""

    @property
    def figures(self) -> dict[str, float]:
        """The counts and both shares."""
        return {
            **vars(self),
            "named_share": round(self.named / max(1, self.enclosed), 4),
            "false_share": round(self.false / max(1, self.headings), 4),
        }


def main() -> None:
    """Measure, print and publish."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--python", default=".venv-headings/bin/python")
    parser.add_argument("--verbose", action="store_true", help="print every miss to stderr")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    files = sorted(path for path in arguments.folder.rglob("*") if path.suffix in SUFFIXES)
    counts = measure(files, arguments.python, verbose=arguments.verbose)
    total = Counts()
    for entry in counts.values():
        for field, value in vars(entry).items():
            setattr(total, field, getattr(total, field) + value)
    figures = {name: entry.figures for name, entry in sorted(counts.items())}
    publish({"languages": figures, "total": total.figures}, arguments.out)


def measure(files: list[Path], python: str, *, verbose: bool = False) -> dict[str, Counts]:
    """Return the figures of each language."""
    folder = localembed.models.open_model(_MODEL).folder
    chunker = Chunker(FastTokenizer(folder), clean, ChunkRules(254, 0))
    names = "".join(f"{path}\n" for path in files)
    answer = subprocess.run(
        [python, GRAMMARS], input=names, capture_output=True, text=True, check=True
    ).stdout
    counts: defaultdict[str, Counts] = defaultdict(Counts)
    for path, line in zip(files, answer.splitlines(), strict=True):
        name = str(path).encode()
        try:
            text = path.read_bytes().decode()
        except UnicodeDecodeError:
            continue
        language = code_language(name)
        document = Document(
            b"d" * 16, "r", name, text, b"", document_kind(name), 0, language=language
        )
        definitions, unparsed = ([Parsed(*entry) for entry in kind] for kind in json.loads(line))
        misses = _count_chunks(counts[language], document, definitions, chunker)
        misses += _count_headings(counts[language], document, definitions, unparsed)
        if verbose:
            print("".join(f"{path}:{miss}\n" for miss in misses), end="", file=sys.stderr)
    return dict(counts)


def _count_chunks(
    counts: Counts, document: Document, definitions: list[Parsed], chunker: Chunker
) -> list[str]:
    """Add a file's chunks to the counts, and return what their headings miss."""
    misses: list[str] = []
    counts.files += 1
    for chunk in chunker([document])[0].chunks:
        counts.chunks += 1
        around = [entry for entry in definitions if entry.start <= chunk.start < entry.end]
        if around:
            innermost = min(around, key=lambda entry: entry.end - entry.start)
            counts.enclosed += 1
            found = "".join(innermost.name.split()) in chunk.heading.replace(" ", "")
            counts.named += found
            if not found:
                misses.append(f"{chunk.start_line}: {innermost.name!r} not in {chunk.heading!r}")
    return misses


def _count_headings(
    counts: Counts, document: Document, definitions: list[Parsed], unparsed: list[Parsed]
) -> list[str]:
    """Add a file's headings to the counts, and return the false ones."""
    misses: list[str] = []
    places = sorted(entry.name_start for entry in definitions)
    for heading in find_headings(document.text, document.kind, document.language):
        at = bisect.bisect_left(places, heading.start)
        is_found = at < len(places) and places[at] <= heading.end
        if not is_found and any(entry.start < heading.end <= entry.end for entry in unparsed):
            counts.unparsed += 1
            continue
        counts.headings += 1
        if not is_found:
            counts.false += 1
            line = document.text.count("\n", 0, heading.start) + 1
            misses.append(f"{line}: no definition for {heading.title!r}")
    return misses


if __name__ == "__main__":
    main()
