"""Random ignore rules and trees that they often match, to compare a walk with git."""

from __future__ import annotations

import os
import random
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from localembed.sources import WalkRules, walk
from localembed.types.documents import Root

NAMES = [
    *("a", "b", "c", "ab", "abc", "ba", "A", "Ab", "a.md", "b.md", "x y", "a ", "a\t", "a\r", "z"),
    *("[", "]", "a]", "[a]", "!a", "#a", "a*", "*", "\\", "a\\b", "-", "^", "a-c", "**", "a\nb"),
    *(".a", "1", "_", "{a}", "a?"),
]
PIECES = [
    *("*", "*", "*", "?", "?", "**", "***", "/", "/", "/**/", "/**/", "/***/", "**/", "/**", "//"),
    *("a", "a", "b", "c", "ab", "A", ".md", "]", "-", "!", "#", "^", " ", "  ", "\t", "\r", "\0"),
    *("[ab]", "[!a]", "[^b]", "[a-c]", "[c-a]", "[]a]", "[!]a]", "[a-]", "[-a]", "[A-Z]", "[Z-b]"),
    *("[[:space:]]", "[[:alpha:]]", "[[:upper:]]", "[[:lower:]]", "[[:digit:]]", "[[:punct:]]"),
    *("[![:alnum:]]", "[[:print:]-a]", "[[:blank:]_]", "[[:cntrl:]]", "[[:graph:]]"),
    *("[[:foo:]]", "[[::]]", "[[:]", "[[:a]", "[[:alpha:", "[", "[a", "[!", "[[a]", "[a[]", "[]"),
    *("[\\[\\]]", "[\\a-c]", "[a-\\c]", "[\\\\]", "[a\\", "[*]", "[?]", "[/]", "[a/]", "[!/]"),
    *("[[:xdigit:]]", "[.-0]", "[a-b-c]", "[--a]", "[^^]", "[!!]", "[]-a]"),
    *("\\a", "\\*", "\\?", "\\[", "\\]", "\\ ", "\\\\", "\\", "\\/", "**\\/", "\\!", "\\#", "\\A"),
]  # fmt: skip
ENDS = [
    *(
        "",
        "",
        "",
        "",
        "/",
        "/",
        " ",
        "   ",
        "\\ ",
        "\\  ",
        "\t",
        "\r",
        "\r\r",
        " \r",
        "/ ",
        "//",
        "\\",
    ),
]
_UNEQUAL = re.compile(r"[^/*]\*\*")
"""Stars that git 2.39 reads as `**` if only literals come first; newer ones read them as `*`."""


@dataclass(frozen=True, slots=True)
class Case:
    """Ignore files by their folder, and other sources."""

    rules: dict[str, bytes] = field(default_factory=dict)
    info_exclude: bytes = b""
    excludes_file: bytes = b""


def random_tree(choice: random.Random, size: int = 40) -> list[str]:
    """Return paths of files."""
    files: dict[str, None] = {}
    folders: set[str] = set()
    while len(files) < size:
        parts = choice.choices(NAMES, k=choice.choice((1, 2, 2, 3, 3, 4)))
        path = "/".join(parts)
        above = {"/".join(parts[:depth]) for depth in range(1, len(parts))}
        if path in folders or above & files.keys():
            continue
        files[path] = None
        folders |= above
    return list(files)


def random_line(choice: random.Random, tree: list[str]) -> str:
    """Return a line of an ignore file: random pieces, or a path of which some are replaced."""
    if choice.random() < 0.4:
        line = "".join(choice.choices(PIECES, k=choice.randint(1, 6)))
    else:
        parts = choice.choice(tree).split("/")
        low = choice.randrange(len(parts))
        parts = parts[low : choice.randint(low + 1, len(parts))]
        line = "/".join(_altered(choice, part) for part in parts)
    line = choice.choice(("", "", "", "", "!", "!", "/", "**/", "#")) + line + choice.choice(ENDS)
    body = line.removeprefix("!")
    return "" if "/" in body[:-1] and _UNEQUAL.search(body) else line


def _altered(choice: random.Random, part: str) -> str:
    letters = [re.sub(r"([*?\[\\])", r"\\\1", letter) for letter in part]
    if choice.random() < 0.5:
        return "".join(letters)
    at = choice.randrange(len(letters))
    letters[at : at + choice.randint(0, 2)] = [choice.choice(PIECES)]
    return "".join(letters)


def _random_file(choice: random.Random, tree: list[str]) -> bytes:
    lines = [random_line(choice, tree) for _ in range(choice.randint(1, 4))]
    start = choice.choice(("", "", "", "", "\ufeff"))
    end = choice.choice(("\n", "\n", "\r\n"))
    return (start + end.join(lines) + choice.choice(("", end))).encode() or b"\n"


def random_case(choice: random.Random, tree: list[str]) -> Case:
    """Return rules for a tree."""
    folders = sorted({path.rpartition("/")[0] for path in tree})
    where = {"", *choice.choices(folders, k=choice.choice((0, 0, 1, 2)))}
    return Case(
        {folder: _random_file(choice, tree) for folder in sorted(where)},
        _random_file(choice, tree) if choice.random() < 0.2 else b"",
        _random_file(choice, tree) if choice.random() < 0.2 else b"",
    )


def compare(folder: Path, excludes_file: Path, *, seed: int, cases: int) -> tuple[list[str], int]:
    """Return what differs between git and a walk, and how many cases ignore some but not all.

    Args:
        folder: for repositories, in each of which fifty cases are tried.
        excludes_file: the user's own exclude file.
        seed: of the random cases.
        cases: how many there are.
    """
    choice = random.Random(seed)
    excludes_file.parent.mkdir(parents=True, exist_ok=True)
    different: list[str] = []
    telling = 0
    for number in range(cases):
        if number % 50 == 0:
            repository = folder / str(number)
            tree = random_tree(choice)
            for path in tree:
                (repository / path).parent.mkdir(parents=True, exist_ok=True)
                (repository / path).write_text("x")
            run_git(repository, "init", "-q")
            run_git(repository, "config", "core.ignorecase", str(number % 200 == 150).lower())
        case = random_case(choice, tree)
        for where, lines in case.rules.items():
            (repository / where / ".gitignore").write_bytes(lines)
        (repository / ".git" / "info" / "exclude").write_bytes(case.info_exclude)
        excludes_file.write_bytes(case.excludes_file)
        expected, found = untracked(repository), walked(repository)
        telling += 0 < len(expected) < len(tree)
        if expected != found:
            different.append(f"{case}: git alone {expected - found}, here {found - expected}")
        for where in case.rules:
            (repository / where / ".gitignore").unlink()
    return different, telling


def run_git(folder: Path, *arguments: str | Path) -> bytes:
    """Run git without the system's configuration, and return what it prints."""
    environment = {**os.environ, "GIT_CONFIG_NOSYSTEM": "1"}
    return subprocess.run(
        ["git", "-C", folder, *arguments], env=environment, capture_output=True, check=True
    ).stdout


def untracked(folder: Path) -> set[bytes]:
    """Return the files that git does not ignore; nested repositories end in a slash."""
    listed = run_git(folder, "ls-files", "-z", "-o", "--exclude-standard")
    return {name for name in listed.split(b"\0") if name}


def walked(folder: Path, **options: Any) -> set[bytes]:
    """Return the files that a walk finds, hidden ones too."""
    root = Root("r", os.fsencode(folder), hidden=True, **options)
    return {file.path for file in walk(root, WalkRules(10**6)).files}
