"""Ignore rules: .gitignore, .localembedignore, options and defaults.

Paths match as in git: the rules of the deepest folder are applied first, the last matching line of
a file wins, a line applies to the path itself and not to the paths below it, and nothing below an
ignored folder can be re-included.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace

from localembed.errors import UsageError
from localembed.sources.default_rules import default_reason
from localembed.sources.git_repository import repository_above, repository_at
from localembed.sources.ignore_file import IgnoreFile, Rank, RulePath, rule_path
from localembed.sources.ignore_lines import Line, parse_lines, split_lines
from localembed.sources.open_file import read_rules

IGNORE_FILES = (b".localembedignore", b".gitignore")
"""Names of ignore files, in order of precedence within a folder."""

_OWN_NAME = os.fsdecode(IGNORE_FILES[0])
_WITH_RULES = frozenset({b".git", *IGNORE_FILES})
"""Names in a folder that can have rules."""

NEVER_ENTERED = frozenset({b".git", b".hg", b".svn", b".bzr", b".jj", b".localembed"})
"""Folders of version control and workspaces, which no option includes."""

_CACHE_TAG = b"Signature: 8a477f597d28d172789f06886806bc55"
"""Start of a CACHEDIR.TAG file (Cache Directory Tagging Specification, bford.info/cachedir)."""
_WORKSPACE = frozenset({b"config.toml", b"writer.lock"})
"""Files that identify a workspace of any name; reading its manifest would drop a lock."""
_MAX_RULES, _MAX_RULES_BYTES = 4_000, 256 << 10
"""Maximum lines and bytes of an ignore file."""
_MAX_TAG_BYTES = 4096
_INFO_EXCLUDE, _USER_FILE = b".git/info/exclude", b"core.excludesFile"
"""Names of git's exclude files in reasons."""


def glob_rules(globs: Iterable[str]) -> IgnoreFile:
    """Return the rules for patterns given as options, which also match all paths below them.

    Raises:
        UsageError: a pattern is invalid.
    """
    lines: list[Line] = []
    for glob in globs:
        found = parse_lines([glob])
        if not found:
            message = f"'{glob}' is not a valid pattern. Use the syntax of .gitignore files."
            raise UsageError(message)
        lines += [*found, *parse_lines([f"{glob.rstrip('/')}/**"])]
    return IgnoreFile.of("option", lines, rank=Rank.OPTION)


@dataclass(frozen=True, slots=True)
class IgnoreRules:
    """The rules that apply in one folder, those that decide first come first."""

    stack: tuple[IgnoreFile, ...]
    enabled: bool
    hidden: bool
    ignore_case: bool = False
    """Whether the repository ignores the case of letters."""
    below: bytes = b""
    """Path of the root relative to the top of its repository, ending in a slash; else empty."""

    @classmethod
    def for_root(
        cls, root: bytes, *, exclude: Iterable[str], hidden: bool, enabled: bool
    ) -> IgnoreRules:
        """Return the rules at the top of a root, before its own ignore files are read."""
        rules = cls((), enabled, hidden)
        if enabled:
            rules = rules._of_folders_above(os.path.realpath(root))
        prefix = _text(rules.below)
        found: list[IgnoreFile] = []
        if lines := parse_lines(exclude):
            found.append(IgnoreFile.of("--exclude", lines, rank=Rank.OPTION, prefix=prefix))
        return rules._with(found)

    def entered(self, folder: bytes, prefix: bytes, names: frozenset[bytes]) -> IgnoreRules:
        """Return the rules that apply inside `folder`, which contains `names`.

        Args:
            folder: its absolute path.
            prefix: its path relative to the root, ending in a slash; empty for the root.
            names: its entries.
        """
        if not self.enabled:
            return self
        path = self.below + prefix
        rules = self._of_repository(folder, path) if b".git" in names else self
        inner = [
            found
            for name in IGNORE_FILES
            if name in names and (found := rules._read(os.path.join(folder, name), path, name))  # noqa: PTH118
        ]
        return rules._with(inner) if inner else rules

    def reason(self, path: bytes, *, is_folder: bool) -> str | None:
        """Return why the entry is ignored, None if it is not.

        Args:
            path: relative to the root.
            is_folder: whether patterns that end in a slash can match.
        """
        entry = rule_path(self.below + path, is_folder=is_folder)
        if not self.hidden and entry.name.startswith("."):
            return "hidden"
        if reason := self._ignored(entry):
            return reason
        if not self.skips_noise(path, is_folder=is_folder):
            return None
        return default_reason(path.rpartition(b"/")[2], is_folder=is_folder)

    def skips_noise(self, path: bytes, *, is_folder: bool = False) -> bool:
        """Tell whether noise and secrets are skipped here: no `.localembedignore` takes it back.

        A .gitignore that takes a file back says that git tracks it, not that it is worth reading.
        """
        if not self.enabled:
            return False
        own = [rules for rules in self.stack if rules.name == _OWN_NAME]
        if not own:
            return True
        entry = rule_path(self.below + path, is_folder=is_folder)
        verdicts = (rules.verdict(entry) for rules in own)
        return next((verdict for verdict in verdicts if verdict is not None), True)

    def _ignored(self, entry: RulePath) -> str | None:
        for rules in self.stack:
            verdict = rules.verdict(entry)
            if verdict is not None:
                return f"ignored ({rules.name})" if verdict else None
        return None

    def _of_folders_above(self, root: bytes) -> IgnoreRules:
        """Return the rules of the repository that contains a root, of the folders above it.

        The user named the root: lines that ignore it, or a folder above it, do not apply.
        """
        top = repository_above(root)
        if top is None or top == root:
            return self
        parts = os.path.relpath(root, top).split(os.fsencode(os.sep))
        rules, folder, above = self, top, b""
        for part in parts:
            rules = rules.entered(folder, above, _WITH_RULES)
            above += part
            entry = rule_path(above, is_folder=True)
            if rules._ignored(entry):
                stack = tuple(file.without_lines_for(entry) for file in rules.stack)
                rules = replace(rules, stack=stack)
            folder, above = os.path.join(folder, part), above + b"/"  # noqa: PTH118
        return replace(rules, below=above)

    def _of_repository(self, folder: bytes, prefix: bytes) -> IgnoreRules:
        """Return the rules at the top of a repository, where those of an outer one end."""
        repository = repository_at(folder)
        if repository is None:
            return self
        stack = tuple(rules for rules in self.stack if not rules.of_git)
        rules = replace(self, stack=stack, ignore_case=repository.ignore_case)
        sources = ((repository.info_exclude, _INFO_EXCLUDE), (repository.excludes_file, _USER_FILE))
        found = [rules._read(path, prefix, name) for path, name in sources if path]
        return rules._with([rules for rules in found if rules])

    def _with(self, found: Iterable[IgnoreFile]) -> IgnoreRules:
        """Return the rules with others, which come before those of the same rank."""
        stack = sorted([*found, *self.stack], key=lambda rules: rules.rank)
        return replace(self, stack=tuple(stack))

    def _read(self, path: bytes, prefix: bytes, name: bytes) -> IgnoreFile | None:
        """Return the rules of one ignore file, None if it cannot be read."""
        in_folder = name in IGNORE_FILES
        data = read_rules(path, _MAX_RULES_BYTES + 1, follow_links=not in_folder)
        if data is None:
            return None
        texts, label = split_lines(_text(data)), name.decode()
        if len(data) > _MAX_RULES_BYTES or len(texts) > _MAX_RULES:
            # Reading on would take minutes, and what it would ignore is not known: nothing is taken
            label, texts = f"{label} has more than {_MAX_RULES:,} lines", ["*"]
        of_git = name != IGNORE_FILES[0]
        ignore_case = self.ignore_case and of_git
        return IgnoreFile.of(
            label,
            parse_lines(texts, ignore_case=ignore_case),
            rank=Rank.FOLDER if in_folder else Rank.REPOSITORY,
            of_git=of_git,
            prefix=_text(prefix),
            ignore_case=ignore_case,
        )


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


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
