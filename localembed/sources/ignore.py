"""Ignore rules: .gitignore, .localembedignore, options and defaults.

Paths match as in git: the rules of the deepest folder are applied first, the last matching line of
a file wins, a line applies to the path itself and not to the paths below it, and nothing below an
ignored folder can be re-included.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from localembed.errors import UsageError
from localembed.sources.default_rules import default_reason
from localembed.sources.linear_patterns import LinearPattern
from localembed.sources.open_file import read_rules

IGNORE_FILES = (b".localembedignore", b".gitignore")
"""Names of ignore files, in order of precedence within a folder."""

_OWN_NAME = os.fsdecode(IGNORE_FILES[0])
NEVER_ENTERED = frozenset({b".git", b".hg", b".svn", b".bzr", b".jj", b".localembed"})
"""Folders of version control and workspaces, which no option includes."""

_CACHE_TAG = b"Signature: 8a477f597d28d172789f06886806bc55"
"""Start of a CACHEDIR.TAG file (Cache Directory Tagging Specification, bford.info/cachedir)."""
_WORKSPACE = frozenset({b"config.toml", b"writer.lock"})
"""Files that identify a workspace of any name; reading its manifest would drop a lock."""
_FOLDER_MARK = "ps_d"
"""Private group with which pathspec marks the slash after a matching folder."""
_BOM = b"\xef\xbb\xbf"
_POSIX_CLASSES = {
    "[:alpha:]": "A-Za-z", "[:digit:]": "0-9", "[:alnum:]": "A-Za-z0-9", "[:upper:]": "A-Z",
    "[:lower:]": "a-z", "[:xdigit:]": "0-9A-Fa-f",
}  # fmt: skip
_ONLY_STARS = re.compile(r"(?<![^/!])\*{3,}(?![^/])")
"""Three stars or more between slashes, which git takes for two."""
_MAX_RULES, _MAX_RULES_BYTES = 4_000, 256 << 10
"""Maximum lines and bytes of an ignore file."""
_MAX_TAG_BYTES = 4096
_LINE_FEED = "\ue00a"
"""Replacement for a line feed in a name, which `.` and `$` treat specially."""


def rule_path(path: bytes, *, is_folder: bool = False) -> str:
    """Return a path relative to a root in the form that rules match: a folder ends in a slash."""
    return os.fsdecode(path).replace("\n", _LINE_FEED) + ("/" if is_folder else "")


@dataclass(frozen=True, slots=True)
class IgnoreFile:
    """The lines of one ignore file, for the folder that contains it."""

    name: str
    patterns: tuple[tuple[re.Pattern[str], bool], ...]
    """(pattern, whether it ignores) of each line, the last line first."""
    any_line: re.Pattern[str]
    """Union of all patterns: most paths match none, and need only this one search."""
    prefix: str = ""
    """Path of the folder relative to the root, ending in a slash."""
    below: str = ""
    """Path of the root relative to a folder above it, ending in a slash; else empty."""

    def verdict(self, path: str) -> bool | None:
        """Return True if ignored, False if re-included, None if no line matches."""
        inner = self.below + path.removeprefix(self.prefix)
        if self.any_line.search(inner) is None:
            return None
        for pattern, ignores in self.patterns:
            if _matches_path(pattern, inner):
                return ignores
        return None


def _matches_path(pattern: re.Pattern[str], path: str) -> bool:
    """Tell whether a line matches the path itself, not only a folder above it.

    pathspec's expressions also match the paths below a folder, and mark the slash after the folder;
    those without the mark ("folder/**") match only paths below it.
    """
    if _FOLDER_MARK not in pattern.groupindex:
        return pattern.search(path.rstrip("/")) is not None
    ends = (match.end(_FOLDER_MARK) for match in pattern.finditer(path))
    return any(end in (-1, len(path)) for end in ends)


def glob_rules(globs: Iterable[str]) -> IgnoreFile:
    """Return the rules for patterns given as options, which also match all paths below them.

    Raises:
        UsageError: a pattern is invalid.
    """
    lines = list(globs)
    for line in lines:
        if _compiled(line) is None:
            message = f"'{line}' is not a valid pattern. Use the syntax of .gitignore files."
            raise UsageError(message)
    return _rules("option", [line for glob in lines for line in (glob, f"{glob.rstrip('/')}/**")])


@dataclass(frozen=True, slots=True)
class IgnoreRules:
    """The rules that apply in one folder, those of the deepest folder first."""

    stack: tuple[IgnoreFile, ...]
    enabled: bool
    hidden: bool

    @classmethod
    def for_root(
        cls, root: bytes, *, exclude: Iterable[str], hidden: bool, enabled: bool
    ) -> IgnoreRules:
        """Return the rules at the top of a root, before its own ignore files are read."""
        stack: list[IgnoreFile] = []
        if enabled:
            # The user named the root: rules above that would ignore all of it do not apply.
            above = _above(root)
            stack = [] if _ignore_root(above) else above
        if lines := list(exclude):
            stack.insert(0, _rules("--exclude", lines))
        return cls(tuple(stack), enabled, hidden)

    def entered(self, folder: bytes, prefix: bytes, names: frozenset[bytes]) -> IgnoreRules:
        """Return the rules that apply inside `folder`, which contains `names`."""
        if not self.enabled:
            return self
        path = rule_path(prefix)
        inner = [r for n in IGNORE_FILES if n in names and (r := _read(folder, n, prefix=path))]
        if not inner:
            return self
        explicit = [rules for rules in self.stack if rules.name == "--exclude"]
        rest = [rules for rules in self.stack if rules.name != "--exclude"]
        return IgnoreRules((*explicit, *inner, *rest), self.enabled, self.hidden)

    def reason(self, path: bytes, name: bytes, *, is_folder: bool) -> str | None:
        """Return why the entry is ignored, None if it is not.

        Args:
            path: relative to the root.
            name: its last part.
            is_folder: whether patterns that end in a slash can match.
        """
        if not self.hidden and name.startswith(b"."):
            return "hidden"
        text = rule_path(path, is_folder=is_folder)
        for rules in self.stack:
            verdict = rules.verdict(text)
            if verdict:
                return f"ignored ({rules.name})"
            if verdict is False:
                break
        if not self.skips_noise(path, is_folder=is_folder):
            return None
        return default_reason(name, is_folder=is_folder)

    def skips_noise(self, path: bytes, *, is_folder: bool = False) -> bool:
        """Tell whether noise and secrets are skipped here: no `.localembedignore` takes it back.

        A .gitignore that takes a file back says that git tracks it, not that it is worth reading.
        """
        own = [rules for rules in self.stack if rules.name == _OWN_NAME] if self.enabled else []
        text = rule_path(path, is_folder=is_folder) if own else ""
        verdicts = (rules.verdict(text) for rules in own)
        return self.enabled and next((v for v in verdicts if v is not None), True)


def no_documents(folder: bytes, names: frozenset[bytes], *, ignore: bool) -> str | None:
    """Return why a folder is skipped as a whole, None if it is not.

    Args:
        folder: its absolute path.
        names: its entries.
        ignore: whether to skip tagged caches and Python environments, too.
    """
    if names >= _WORKSPACE:
        return "localembed workspace"
    if ignore and b"pyvenv.cfg" in names:
        return "ignored (Python environment)"
    if ignore and b"CACHEDIR.TAG" in names:
        tag = read_rules(os.path.join(folder, b"CACHEDIR.TAG"), _MAX_TAG_BYTES)  # noqa: PTH118 - bytes
        if tag is not None and tag.startswith(_CACHE_TAG):
            return "ignored (cache folder)"
    return None


def _above(root: bytes) -> list[IgnoreFile]:
    """Return the rules of the folders above `root`, up to the top of its git repository."""
    found: list[IgnoreFile] = []
    folder, below = root, ""
    # In a linked worktree or a submodule .git is a file.
    while not os.path.exists(os.path.join(folder, b".git")):  # noqa: PTH110, PTH118 - bytes
        parent = os.path.dirname(folder)  # noqa: PTH120
        if parent == folder:
            return []
        below = rule_path(os.path.basename(folder)) + "/" + below  # noqa: PTH119
        folder = parent
        found += [r for name in IGNORE_FILES if (r := _read(folder, name, below=below))]
    info = os.path.join(folder, b".git", b"info")  # noqa: PTH118
    if exclude := _read(info, b"exclude", below=below):
        found.append(exclude)
    return found


def _ignore_root(above: Iterable[IgnoreFile]) -> bool:
    """Tell whether rules above a root ignore the root or a folder above it."""
    for rules in above:
        parts = rules.below.split("/")[:-1]
        for depth in range(1, len(parts) + 1):
            folder = "/".join(parts[:depth]) + "/"
            if replace(rules, below="").verdict(folder):
                return True
    return False


def _read(folder: bytes, name: bytes, *, prefix: str = "", below: str = "") -> IgnoreFile | None:
    """Return the rules of one ignore file, None if it cannot be read."""
    data = read_rules(os.path.join(folder, name), _MAX_RULES_BYTES + 1)  # noqa: PTH118 - bytes
    if data is None:
        return None
    text = data.removeprefix(_BOM).decode("utf-8", "surrogateescape")
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    lines = [line for line in lines if line and not line.startswith("#")]
    file = os.fsdecode(name)
    if len(data) > _MAX_RULES_BYTES or len(lines) > _MAX_RULES:
        # Reading on would take minutes, and what it would ignore is not known: nothing is taken.
        file, lines = f"{file} has more than {_MAX_RULES:,} lines", ["*"]
    return _rules(file, lines, prefix=prefix, below=below)


def _rules(name: str, lines: Iterable[str], *, prefix: str = "", below: str = "") -> IgnoreFile:
    patterns = [pattern for line in lines if (pattern := _compiled(line))]
    bare = (p.pattern.replace(f"(?P<{_FOLDER_MARK}>", "(?:") for p, _ in patterns)
    with _quiet_expressions():
        any_line = re.compile("|".join(f"(?:{text})" for text in bare) or "(?!)")
    return IgnoreFile(name, tuple(reversed(patterns)), any_line, prefix, below)


@contextmanager
def _quiet_expressions() -> Iterator[None]:
    """Suppress the warning of `re` about possible nested sets."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield


def _compiled(line: str) -> tuple[re.Pattern[str], bool] | None:
    """Return one line as a pattern, None if it is empty or, as in git, invalid."""
    line = _ONLY_STARS.sub("**", line)
    if line.endswith("/**/"):
        line += "*/"  # match folders below, not the folder itself, as pathspec would
    for name, members in _POSIX_CLASSES.items():
        line = line.replace(name, members)
    try:
        with _quiet_expressions():
            pattern = LinearPattern(line)
    except (ValueError, re.error):
        return None
    if pattern.include is None or pattern.regex is None:
        return None
    return pattern.regex, pattern.include
