"""Which entries of a folder are left out: .gitignore, .localembedignore, options and defaults.

A path is judged as git does it: the rules of the deepest folder speak first, in one file the last
matching line wins, and nothing below an ignored folder can be taken back.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

from pathspec import GitIgnoreSpec

IGNORE_FILES = (b".localembedignore", b".gitignore")
"""In order of precedence within one folder."""

NEVER_ENTERED = frozenset({b".git", b".hg", b".svn", b".bzr", b".jj", b".localembed"})
"""Version control and our own workspaces hold no input: no option brings them in."""

_DEFAULTS = (
    "node_modules/", "bower_components/", "__pycache__/", "__pypackages__/", "*.egg-info/",
    "*.min.js", "*.min.css", "*.map", "package-lock.json", "yarn.lock", "pnpm-lock.yaml",
    "poetry.lock", "uv.lock", "Cargo.lock", "composer.lock", "Gemfile.lock", "*~", "*.swp",
    "*.part", "*.crdownload", ".DS_Store", "Thumbs.db",
)  # fmt: skip
_CACHE_TAG = b"Signature: 8a477f597d28d172789f06886806bc55"
"""See the Cache Directory Tagging Specification (bford.info/cachedir)."""
_WORKSPACE = frozenset({b"config.toml", b"writer.lock"})
"""What any workspace holds, whatever it is called; closing its manifest would drop a lock."""


@dataclass(frozen=True, slots=True)
class _Rules:
    """The lines of one ignore file, for the folder it stands in."""

    name: str
    prefix: str
    """The folder relative to the root, with a slash behind it, or ".." parts for one above."""
    spec: GitIgnoreSpec

    def verdict(self, path: str) -> bool | None:
        """Return True for ignored, False for taken back, None for no opinion."""
        return self.spec.check_file(path.removeprefix(self.prefix)).include


@dataclass(frozen=True, slots=True)
class IgnoreRules:
    """The rules in force in one folder, those of the deepest folder first."""

    stack: tuple[_Rules, ...]
    enabled: bool
    hidden: bool

    @classmethod
    def for_root(
        cls, root: bytes, *, exclude: Iterable[str], hidden: bool, enabled: bool
    ) -> IgnoreRules:
        """Return the rules that hold at the top of a root, before its own ignore files are read."""
        stack: list[_Rules] = []
        if enabled:
            # A root was named by its owner: rules above that would leave all of it out say nothing.
            above = _above(root)
            stack = [] if any(rules.verdict("") for rules in above) else list(above)
            stack.append(_Rules("default", "", GitIgnoreSpec.from_lines(_DEFAULTS)))
        if lines := list(exclude):
            stack.insert(0, _Rules("--exclude", "", GitIgnoreSpec.from_lines(lines)))
        return cls(tuple(stack), enabled, hidden)

    def entered(self, folder: bytes, prefix: bytes, names: frozenset[bytes]) -> IgnoreRules:
        """Return the rules in force inside `folder`, whose entries are `names`."""
        if not self.enabled:
            return self
        own = [
            rules
            for name in IGNORE_FILES
            if name in names and (rules := _read(folder, name, os.fsdecode(prefix)))
        ]
        if not own:
            return self
        explicit = [rules for rules in self.stack if rules.name == "--exclude"]
        rest = [rules for rules in self.stack if rules.name != "--exclude"]
        return IgnoreRules((*explicit, *own, *rest), self.enabled, self.hidden)

    def reason(self, path: bytes, name: bytes, *, is_folder: bool) -> str | None:
        """Return why the entry is left out, or None if it is not.

        Args:
            path: relative to the root.
            name: the last part of it.
            is_folder: patterns that end in a slash match folders only.
        """
        if not self.hidden and name.startswith(b"."):
            return "hidden"
        text = os.fsdecode(path) + ("/" if is_folder else "")
        for rules in self.stack:
            verdict = rules.verdict(text)
            if verdict is not None:
                return f"ignored ({rules.name})" if verdict else None
        return None


def no_documents(folder: bytes, names: frozenset[bytes], *, ignore: bool) -> str | None:
    """Return why a whole folder holds no documents, None if it may.

    Args:
        folder: its absolute path.
        names: its entries.
        ignore: whether tagged caches and Python environments are left out, too.
    """
    if names >= _WORKSPACE:
        return "localembed workspace"
    if ignore and b"pyvenv.cfg" in names:
        return "ignored (Python environment)"
    if ignore and b"CACHEDIR.TAG" in names:
        try:
            with open(os.path.join(folder, b"CACHEDIR.TAG"), "rb") as tag:  # noqa: PTH118, PTH123
                if tag.read(len(_CACHE_TAG)) == _CACHE_TAG:
                    return "ignored (cache folder)"
        except OSError:
            return None
    return None


def _above(root: bytes) -> list[_Rules]:
    """Return the rules of the folders above `root`, up to the top of its git repository."""
    found: list[_Rules] = []
    folder, below = root, ""
    while not os.path.isdir(os.path.join(folder, b".git")):  # noqa: PTH112, PTH118
        parent = os.path.dirname(folder)  # noqa: PTH120
        if parent == folder:
            return []
        below = os.fsdecode(os.path.basename(folder)) + "/" + below  # noqa: PTH119
        folder = parent
        names = [name for name in IGNORE_FILES if _exists(folder, name)]
        found += [r for name in names if (r := _read(folder, name, "", below))]
    if exclude := _read(os.path.join(folder, b".git", b"info"), b"exclude", "", below):  # noqa: PTH118
        found.append(exclude)
    return found


def _exists(folder: bytes, name: bytes) -> bool:
    return os.path.isfile(os.path.join(folder, name))  # noqa: PTH113, PTH118


def _read(folder: bytes, name: bytes, prefix: str, below: str = "") -> _Rules | None:
    """Return the rules of one ignore file, or None if it cannot be read."""
    try:
        with open(os.path.join(folder, name), "rb") as file:  # noqa: PTH118, PTH123
            lines = file.read().decode("utf-8", "surrogateescape").splitlines()
    except OSError:
        return None
    spec = GitIgnoreSpec.from_lines(lines)
    if not below:
        return _Rules(os.fsdecode(name), prefix, spec)
    return _RulesAbove(os.fsdecode(name), prefix, spec, below)


@dataclass(frozen=True, slots=True)
class _RulesAbove(_Rules):
    """Rules of a folder above the root: paths are judged as that folder sees them."""

    below: str
    """The root relative to that folder, with a slash behind it."""

    def verdict(self, path: str) -> bool | None:
        """Return True for ignored, False for taken back, None for no opinion."""
        return self.spec.check_file(self.below + path).include
