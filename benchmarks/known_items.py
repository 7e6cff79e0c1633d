"""How well one identifier finds the file that defines it, in code cut into chunks.

    python -m benchmarks.known_items --out benchmarks/results/known-items.json

The standard library of this Python is indexed with the packaged model. The questions are names of
functions and classes that one file alone defines; it is the only right answer.
"""

from __future__ import annotations

import argparse
import ast
import random
import re
import sysconfig
import tempfile
from collections import defaultdict
from pathlib import Path

import localembed
from benchmarks.machine import publish
from localembed.evaluation.questions import Question, Target
from localembed.evaluation.session import FIGURES, MODES, difference, evaluate
from localembed.types.queries import Query

_MAX_BYTES = 60_000
_LONG_NAME = re.compile(r"(?=.{6})[a-z]+_[a-z_0-9]+|[A-Z][a-z]+[A-Z]\w+")
_SEED = 1


def main() -> None:
    """Index, ask, and publish."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=150)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="le-") as name:
        folder = Path(name)
        files = _take_files(folder / "lib")
        questions = _questions(files, arguments.questions)
        workspace = localembed.open(folder / "lib")
        report = workspace.index()
        measured = evaluate(workspace, questions, MODES, Query(""), lambda: None)
    beyond = difference(measured["hybrid"], measured["text"])
    publish(
        {
            "python_files": len(files),
            "chunks": report.chunks.total,
            "questions": len(questions),
            "modes": {
                mode: {figure: round(found.mean(figure), 4) for figure in FIGURES}
                for mode, found in measured.items()
            },
            "hybrid_beyond_text": round(beyond.mean, 4),
            "interval": [round(end, 4) for end in beyond.interval],
        },
        arguments.out,
    )


def _take_files(folder: Path) -> list[Path]:
    """Copy the modules that are neither large nor tests."""
    folder.mkdir()
    found = []
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        if path.stat().st_size <= _MAX_BYTES:
            found.append(folder / path.name)
            found[-1].write_bytes(path.read_bytes())
    return found


def _questions(files: list[Path], most: int) -> list[Question]:
    """Return names that one file alone defines, each with this file."""
    places: defaultdict[str, set[Path]] = defaultdict(set)
    for path in files:
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                places[node.name].add(path)
    names = sorted(
        name for name, found in places.items() if len(found) == 1 and _LONG_NAME.fullmatch(name)
    )
    chosen = random.Random(_SEED).sample(names, min(most, len(names)))
    return [Question(name, (Target(frozenset(map(str, places[name]))),)) for name in sorted(chosen)]


if __name__ == "__main__":
    main()
