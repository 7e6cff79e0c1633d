"""Make sets of questions and documents from the documentation in Debian's packages.

    python -m benchmarks.confidence.question_sets PACKAGES SETS

PACKAGES is a folder into which python3.11-doc, debian-handbook, git-doc and linux-doc-6.1 were
extracted (`dpkg -x`). A set is a folder with `docs` and `questions.tsv`. What a question was made
from is not in the documents, so that it is not found by its own words.
"""

from __future__ import annotations

import argparse
import gzip
import html
import importlib
import inspect
import random
import re
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

_SEED = 7
_MAX_QUESTIONS = 500
_DOCS = Path("usr/share/doc")
_MODULE = re.compile(r"^\.\. module:: ([\w.]+)", re.MULTILINE)
_TITLE_TAG = re.compile(r'(?s)<h[1-6][^>]*class="title".*?</h[1-6]>')
_FURNITURE = re.compile(
    r'(?s)<(script|style|nav).*?</\1>|<ul class="docnav">.*?</ul>|<p id="title">.*?</p>'
)
_BLOCK_END = re.compile(r"</(p|div|li|pre|dt|dd|h\d)>")
_NAME_SECTION = re.compile(r"^NAME\n-+\n([^\n]+)\n", re.MULTILINE)
_RST_TITLE = re.compile(r"^(?:[=*#~-]{4,}\n)? ?([A-Z][^\n]{12,80})\n[=*#~-]{4,}\n", re.MULTILINE)

Pages = dict[str, str]
Asked = Iterator[tuple[str, str]]
"""Questions, each with the name of the page that answers it."""


def python_library(packages: Path) -> tuple[Pages, Asked]:
    """First sentences of docstrings; the answer is the page that documents the function."""
    source = packages / _DOCS / "python3.11/html/_sources/library"
    pages = {path.name.removesuffix(".txt"): path.read_text() for path in source.glob("*.rst.txt")}

    def asked() -> Asked:
        page_of = {module: name for name, text in pages.items() for module in _MODULE.findall(text)}
        for module, page in sorted(page_of.items()):
            for name, sentence in _docstrings(module):
                documented = rf"^\.\. (function|class|exception|decorator):: .*\b{name}\b"
                hidden = name.lower() not in sentence.lower() and sentence not in pages[page]
                if hidden and re.search(documented, pages[page], re.MULTILINE):
                    yield sentence.rstrip("."), page

    return pages, asked()


def _docstrings(module: str) -> Iterator[tuple[str, str]]:
    """Yield (name, first sentence) of what a module defines."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = importlib.import_module(module)
    except ImportError:
        return
    for name, value in sorted(vars(found).items()):
        if name.startswith("_") or not callable(value):
            continue
        if getattr(value, "__module__", None) == module:
            text = inspect.getdoc(value) or ""
            sentence = _line(re.split(r"(?<=[.!?])\s|\n\n", text)[0])
            if 30 <= len(sentence) <= 160 and "(" not in sentence.split(" ")[0]:
                yield name, sentence


def handbook(packages: Path) -> tuple[Pages, Asked]:
    """Titles of sections; the answer is the page, without its titles."""
    pages: Pages = {}
    titles: list[tuple[str, str]] = []
    for path in sorted((packages / _DOCS / "debian-handbook/html/en-US").glob("*.html")):
        body = _FURNITURE.sub("", path.read_text().partition("<body")[2])
        found = [_line(_plain(title[0])) for title in _TITLE_TAG.finditer(body)]
        text = _plain(_BLOCK_END.sub("\n\n", _TITLE_TAG.sub("", body)))
        text = re.sub(r"\n\s*\n\s*", "\n\n", text).strip()
        if len(text) < 300:
            continue
        pages[f"{path.stem}.txt"] = text
        for title in found:
            plain = re.sub(r"^(Chapter )?[\d.]+\s*", "", title)
            if len(plain.split()) >= 2 and len(plain) <= 90:
                titles.append((plain, f"{path.stem}.txt"))
    return pages, iter(titles)


def git(packages: Path) -> tuple[Pages, Asked]:
    """Descriptions of commands; the answer is the manual page, without its section NAME."""
    pages: Pages = {}
    described: list[tuple[str, str]] = []
    for path in sorted((packages / _DOCS / "git-doc").rglob("*.txt")):
        text = path.read_text("utf-8", "replace")
        name = _NAME_SECTION.search(text)
        if name is None:
            continue
        pages[path.name] = text.replace(name[0], "")
        question = _line(name[1].partition(" - ")[2]).rstrip(".")
        if len(question.split()) >= 3:
            described.append((question, path.name))
    return pages, iter(described)


def kernel(packages: Path) -> tuple[Pages, Asked]:
    """Titles of pages; the answer is the page, without its title."""
    source = packages / _DOCS / "linux-doc-6.1/Documentation"
    paths = [path for path in sorted(source.rglob("*.rst*")) if "translations" not in path.parts]
    random.Random(_SEED).shuffle(paths)
    pages: Pages = {}
    titles: list[tuple[str, str]] = []
    for path in paths:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        text = data.decode("utf-8", "replace")
        title = _RST_TITLE.search(text[:1500])
        question = _line(title[1]) if title else ""
        fits = 1500 <= len(text) <= 20_000 and len(question.split()) >= 3
        if title and fits and re.search(r"[a-z]{3}", question):
            name = f"{len(pages):04}.txt"
            pages[name] = text.replace(title[0], "\n")
            titles.append((question, name))
        if len(pages) == _MAX_QUESTIONS:
            break
    return pages, iter(titles)


def _plain(markup: str) -> str:
    return html.unescape(re.sub(r"<[^>]+>", "", markup))


def _line(text: str) -> str:
    return " ".join(text.split())


SETS: dict[str, Callable[[Path], tuple[Pages, Asked]]] = {
    "python-library": python_library,
    "handbook": handbook,
    "git": git,
    "kernel": kernel,
}


def main() -> None:
    """Write all sets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("packages", type=Path)
    parser.add_argument("sets", type=Path)
    arguments = parser.parse_args()
    for name, make in SETS.items():
        pages, asked = make(arguments.packages)
        _write(arguments.sets / name, pages, asked)


def _write(folder: Path, pages: Pages, asked: Asked) -> None:
    (folder / "docs").mkdir(parents=True)
    for name, text in pages.items():
        (folder / "docs" / name).write_text(text)
    answers: defaultdict[str, set[str]] = defaultdict(set)
    for question, page in asked:
        answers[question].add(f"docs/{page}")
    questions = sorted(answers)
    random.Random(_SEED).shuffle(questions)
    lines = ("\t".join((q, *sorted(answers[q]))) + "\n" for q in questions[:_MAX_QUESTIONS])
    (folder / "questions.tsv").write_text("".join(lines))
    print(f"{folder.name}: {len(pages)} pages, {min(len(questions), _MAX_QUESTIONS)} questions")


if __name__ == "__main__":
    main()
