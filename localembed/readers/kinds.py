"""Kinds of text by file name, which decide only what counts as a heading."""

from __future__ import annotations

import os

from localembed.types.documents import DocumentKind

_MARKDOWN = "md markdown mdown mkd mdx qmd rmd"
_RST = "rst rest"
_CODE = (
    "py pyi pyx js mjs cjs ts tsx jsx java kt kts scala go rs c h cc cpp cxx hh hpp hxx m mm cs fs "
    "vb swift rb php pl pm lua r jl ex exs erl hrl hs ml mli clj cljs lisp el sh bash zsh fish ps1 "
    "bat sql proto thrift graphql css scss less vue svelte dart groovy gradle zig nim sol tf cmake"
)
_KINDS: dict[str, DocumentKind] = {
    **dict.fromkeys(_MARKDOWN.split(), "markdown"),
    **dict.fromkeys(_RST.split(), "rst"),
    **dict.fromkeys(_CODE.split(), "code"),
}


def document_kind(path: bytes) -> DocumentKind:
    """Return the kind for a file's suffix, "text" if the suffix is unknown."""
    _, dot, suffix = os.fsdecode(path).rpartition(".")
    return _KINDS.get(suffix.lower(), "text") if dot else "text"
