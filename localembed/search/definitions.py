"""Find the chunks that define a name, for queries that are one identifier."""

from __future__ import annotations

import re

_IDENTIFIER = re.compile(
    r"(?=.*(?:[a-z][A-Z]|[A-Za-z0-9][_.:/-]+[A-Za-z0-9]|\d))[A-Za-z_$][\w$.:/-]*(?:\(\))?"
)
_NAME = re.compile(r"[A-Za-z_$][\w$]*(?=(?:\(\))?$)")
_INTRODUCED = (
    r"(?:def|class|func|fun|fn|function|sub|struct|enum|union|trait|interface|protocol|record|"
    r"object|type|typedef|module|namespace|package|macro|macro_rules!|mixin|procedure|defmodule|"
    r"defp?|const|let|var|val|static|#\s*define|(?:function|class|method|data|exception|attribute|"
    r"classmethod|staticmethod|decorator|c?macro|option|envvar)::)"
)
"""Words, and directives of reStructuredText, that introduce a name."""


def is_identifier(query: str) -> bool:
    """Tell whether a query is one identifier, such as parse_config, HttpClient or json.dump()."""
    return _IDENTIFIER.fullmatch(query.strip()) is not None


class Definitions:
    """Tells the chunks that define a name from those that mention it."""

    def __init__(self, query: str) -> None:
        """Set the name: the last part of an identifier such as `json.dump()`."""
        name = _NAME.search(query.strip())
        self._name = re.escape(name[0]) if name else ""
        self._introduced = re.compile(
            rf"(?m)(?:^|[\s;{{}}(])(?:[a-z]+:)?{_INTRODUCED}[ \t]+(?:\([^()\n]{{0,80}}\)[ \t]*)?"
            rf"(?:[\w$]+(?:\.|::|#))*{self._name}(?![\w$])"
        )
        self._title = re.compile(rf"(?<![\w$]){self._name}(?:\([^()]*\))?\W*\Z")

    def hold(self, heading: str, text: str) -> bool:
        """Tell whether a chunk introduces the name, or begins the definition of its heading.

        Args:
            heading: titles around the chunk, the innermost last.
            text: the chunk.
        """
        if not self._name:
            return False
        if self._introduced.search(text):
            return True
        title = heading.rpartition(" > ")[2]
        return bool(title and title in text and self._title.search(title))
