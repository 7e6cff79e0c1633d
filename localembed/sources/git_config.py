"""The settings of git that decide what it ignores, read from its files without running git.

Files come from the system, the user and the repository, with what they include. A repository may
have come from another user, so sizes, the number of files and nesting are limited, and only regular
files are read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

from localembed.sources.ignore_lines import path_matches
from localembed.sources.open_file import read_rules

_MAX_BYTES, _MAX_FILES, _MAX_DEPTH = 1 << 20, 64, 10
"""Maximum size of a configuration file, files per repository and depth of includes."""
_SYSTEM_FILE = "/etc/gitconfig"
_SECTION = re.compile(r'\[([-.a-zA-Z0-9]+)(?:[ \t]+"((?:[^"\\\n]|\\.)*)")?\]')
_KEY = re.compile(r"([a-zA-Z][-a-zA-Z0-9]*)[ \t]*")
_VALUE = re.compile(r'"(?:[^"\\\n]|\\.)*"|\\.|[^"\\\n]', re.DOTALL)
_TRUE = frozenset({"true", "yes", "on", None})
_FALSE = frozenset({"false", "no", "off", ""})


@dataclass(frozen=True, slots=True)
class GitDir:
    """The folder in which a repository, or one of its worktrees, keeps its records."""

    path: str
    common: str
    """Folder of what all worktrees share; the same as `path` if there is only one."""


@dataclass(frozen=True, slots=True)
class GitSettings:
    """What the configuration of a repository says about ignored files."""

    excludes_file: str
    """Path of `core.excludesFile` or its default; empty if there is to be none."""
    ignore_case: bool


def git_settings(git_dir: GitDir, top: str) -> GitSettings:
    """Return the settings that hold in a repository.

    Args:
        git_dir: where it keeps its records.
        top: its highest folder, to which relative paths refer.
    """
    left = iter(range(_MAX_FILES))
    values: dict[str, str | None] = {}
    for path in (*_system_files(), *_user_files(), os.path.join(git_dir.common, "config")):  # noqa: PTH118
        values.update(_read(path, git_dir, left))
    if _boolean(values.get("extensions.worktreeconfig", "false")):
        values.update(_read(os.path.join(git_dir.path, "config.worktree"), git_dir, left))  # noqa: PTH118
    chosen = values.get("core.excludesfile")
    if chosen is None:
        chosen = os.path.join(_configuration_folder(), "git", "ignore")  # noqa: PTH118
    excludes_file = os.path.join(top, _expanded(chosen)) if chosen else ""  # noqa: PTH118
    return GitSettings(excludes_file, _boolean(values.get("core.ignorecase", "false")))


def _read(
    path: str, git_dir: GitDir, left: Iterator[int], depth: int = 0
) -> Iterator[tuple[str, str | None]]:
    """Yield names and values of a file, and of the files that it includes.

    Args:
        path: the file.
        git_dir: where the repository keeps its records.
        left: has an item for each file that may still be read.
        depth: number of files that include it.
    """
    if depth > _MAX_DEPTH or next(left, None) is None:
        return
    data = read_rules(os.fsencode(path), _MAX_BYTES, follow_links=True)
    for section, subsection, key, value in _entries(_text(data or b"")):
        if section in ("include", "includeif") and key == "path":
            if value and _applies(subsection, path, git_dir):
                base = os.path.dirname(path)  # noqa: PTH120
                yield from _read(os.path.join(base, _expanded(value)), git_dir, left, depth + 1)  # noqa: PTH118
        elif subsection is None:
            yield f"{section}.{key}", value


def _system_files() -> list[str]:
    if _boolean(os.environ.get("GIT_CONFIG_NOSYSTEM", "false")):
        return []
    return [os.environ.get("GIT_CONFIG_SYSTEM", _SYSTEM_FILE)]


def _user_files() -> list[str]:
    chosen = os.environ.get("GIT_CONFIG_GLOBAL")
    if chosen is not None:
        return [chosen] if chosen else []
    return [os.path.join(_configuration_folder(), "git", "config"), _expanded("~/.gitconfig")]  # noqa: PTH118


def _configuration_folder() -> str:
    return os.environ.get("XDG_CONFIG_HOME") or _expanded("~/.config")


def _expanded(path: str) -> str:
    return os.path.expanduser(path)  # noqa: PTH111


def _boolean(value: str | None) -> bool:
    """Return what git takes a value for; a key without a value is true."""
    if value is None or value.lower() in _TRUE:
        return True
    return value.lower() not in _FALSE and re.fullmatch(r"[-+]?0+[kmg]?", value.lower()) is None


def _applies(condition: str | None, file: str, git_dir: GitDir) -> bool:
    """Tell whether an include with this condition applies; unknown conditions never do."""
    if condition is None:
        return True
    kind, _, pattern = condition.partition(":")
    if kind == "onbranch":
        branch = _branch(git_dir)
        return branch is not None and path_matches(_with_folders(pattern), branch)
    if kind not in ("gitdir", "gitdir/i"):
        return False
    pattern = _expanded(pattern)
    if pattern.startswith("./"):
        pattern = os.path.join(os.path.dirname(os.path.realpath(file)), pattern[2:])  # noqa: PTH118, PTH120
    elif not os.path.isabs(pattern):  # noqa: PTH117
        pattern = f"**/{pattern}"
    pattern = _with_folders(pattern).removeprefix("/")
    places = (os.path.realpath(git_dir.path), os.path.abspath(git_dir.path))  # noqa: PTH100
    return any(
        path_matches(pattern, place.removeprefix("/"), ignore_case=kind == "gitdir/i")
        for place in places
    )


def _with_folders(pattern: str) -> str:
    return f"{pattern}**" if pattern.endswith("/") else pattern


def _branch(git_dir: GitDir) -> str | None:
    head = read_rules(os.fsencode(os.path.join(git_dir.path, "HEAD")), 4096, follow_links=True)  # noqa: PTH118
    found = re.match(rb"ref:\s*refs/heads/(.+)", head or b"")
    return _text(found.group(1)).strip() if found else None


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _entries(text: str) -> Iterator[tuple[str, str | None, str, str | None]]:
    """Yield (section, subsection, key, value) up to the end or the first error."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    section, subsection, at = "", None, 0
    while at < len(text):
        letter = text[at]
        if letter in " \t\n\r\v\f":
            at += 1
        elif letter in "#;":
            end = text.find("\n", at)
            at = len(text) if end < 0 else end
        elif found := _SECTION.match(text, at):
            section, subsection = found.group(1).lower(), found.group(2)
            if subsection is not None:
                subsection = re.sub(r"\\(.)", r"\1", subsection)
            at = found.end()
        elif found := _KEY.match(text, at):
            at = found.end()
            value: str | None = None
            if text.startswith("=", at):
                value, at = _value(text, at + 1)
            yield section, subsection, found.group(1).lower(), value
        else:
            return


def _value(text: str, at: int) -> tuple[str, int]:
    """Return a value without quotes, escapes and comment, and the place behind it."""
    parts: list[str] = []
    kept = 0  # parts up to the last one that is no space
    while found := _VALUE.match(text, at):
        token = found.group()
        if token in "#;":
            end = text.find("\n", at)
            return "".join(parts[:kept]), len(text) if end < 0 else end
        at = found.end()
        if token.isspace():
            parts += [" "] if parts else []
            continue
        parts.append(_unescaped(token[1:-1] if token[0] == '"' else token))
        kept = len(parts)
    return "".join(parts[:kept]), at


def _unescaped(token: str) -> str:
    return re.sub(
        r"\\(.)",
        lambda found: {"n": "\n", "t": "\t", "b": "\b", "\n": ""}.get(found[1], found[1]),
        token,
        flags=re.DOTALL,
    )
