"""The words of a query as full text reads them."""

from __future__ import annotations

import re

from localembed.store.lance.search_text import compound_parts, normal

_MAX_WORDS = 2000
"""Maximum words of a text query: fewer would cost quality, and 2,000 take 67 ms at 113k rows."""
_ENGLISH = (
    "a about am an and any are as at be been being but by can could did do does doing for from had "
    "has have having he her here hers him his how i if in into is it its me my no nor not of on or "
    "our ours she should so some such than that the their theirs them then there these they this "
    "those to too very was we were what when where which while who whom why will with would you "
    "your yours"
)
"""Articles, pronouns, prepositions, auxiliaries and question words."""
_STOP_WORDS = frozenset(_ENGLISH.split())
_EDGES = re.compile(r"^\W+|\W+$")


def text_query(query: str) -> str:
    """Return the words for which full text searches, and the parts of compounds.

    English stop words are left out, unless the query has no others: `os`, `not` and "to be or not
    to be" are found.
    """
    words = query.split()
    kept = [word for word in words if _EDGES.sub("", word).lower() not in _STOP_WORDS] or words
    joined = " ".join(kept[:_MAX_WORDS])
    return normal(f"{joined} {compound_parts(joined)}".strip())
