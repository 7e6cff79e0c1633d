"""Kinds of text and programming languages by file name; they decide what counts as a heading."""

from __future__ import annotations

import os

from localembed.types.documents import DocumentKind

_MARKDOWN = "md markdown mdown mkd mdx qmd rmd"
_RST = "rst rest"
_LANGUAGES = {
    "bash": "sh bash zsh ksh bats",
    "c": "c h m",
    "clojure": "clj cljs",
    "cpp": "cc cpp cxx hh hpp hxx mm",
    "csharp": "cs",
    "dart": "dart",
    "elixir": "ex exs",
    "fish": "fish",
    "go": "go",
    "groovy": "groovy gradle",
    "java": "java",
    "javascript": "js mjs cjs jsx vue svelte",
    "julia": "jl",
    "kotlin": "kt kts",
    "lisp": "lisp el",
    "lua": "lua",
    "nim": "nim",
    "perl": "pl pm",
    "php": "php",
    "python": "py pyi pyx",
    "r": "r",
    "ruby": "rb",
    "rust": "rs",
    "scala": "scala",
    "schema": "proto thrift graphql sol",
    "swift": "swift",
    "typescript": "ts tsx",
    "visual": "vb fs hs ml mli",
    "zig": "zig",
}
_OTHER_CODE = "erl hrl ps1 bat sql css scss less tf cmake"
_LANGUAGE_OF = {
    suffix: language for language, suffixes in _LANGUAGES.items() for suffix in suffixes.split()
}
_KINDS: dict[str, DocumentKind] = {
    **dict.fromkeys(_MARKDOWN.split(), "markdown"),
    **dict.fromkeys(_RST.split(), "rst"),
    **dict.fromkeys(_LANGUAGE_OF, "code"),
    **dict.fromkeys(_OTHER_CODE.split(), "code"),
}


def document_kind(path: bytes) -> DocumentKind:
    """Return the kind for a file's suffix, "text" if the suffix is unknown."""
    return _KINDS.get(_suffix(path), "text")


def code_language(path: bytes) -> str:
    """Return the programming language for a file's suffix, "" if it is unknown."""
    return _LANGUAGE_OF.get(_suffix(path), "")


def _suffix(path: bytes) -> str:
    _, dot, suffix = os.fsdecode(path).rpartition(".")
    return suffix.lower() if dot else ""
