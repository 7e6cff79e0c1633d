"""Guess the encoding of text that is not Unicode.

chardet ranks the encodings by the statistics of languages. These say little about a short text, so
the neighbours of each character are considered too, and the encoding of the user's language gets a
small bonus: enough to decide between near ties, too little to outweigh a page of text.
"""

from __future__ import annotations

import locale
import math
import os
import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache

_EAST_ASIAN = ("cp932", "euc_jis_2004", "gb18030", "big5hkscs", "cp949")
_ENCODINGS = (
    *("cp1252", "iso8859-15", "cp850", "mac-roman"),
    *("cp1250", "iso8859-2", "iso8859-16", "cp852"),
    *("cp1251", "koi8-r", "koi8-u", "cp866", "iso8859-5"),
    *("cp1253", "iso8859-7", "cp1254", "iso8859-9", "cp1257", "iso8859-13", "cp1258", "cp874"),
    *("cp1255", "iso8859-8", "cp1256", "iso8859-6"),
    *_EAST_ASIAN,
)
_CODECS = {"euc_jis_2004": "euc_jp"}
"""Name for chardet → codec to decode with."""
_UNUSUAL = frozenset(("cp850", "mac-roman", "iso8859-16", "cp852"))
_LOCALES = {
    **dict.fromkeys(("pl", "cs", "sk", "hu", "sl", "hr", "ro", "sq", "bs"), "cp1250"),
    **dict.fromkeys(("ru", "uk", "bg", "be", "mk", "sr"), "cp1251"),
    **dict.fromkeys(("et", "lt", "lv"), "cp1257"),
    **dict.fromkeys(("tr", "az"), "cp1254"),
    **dict.fromkeys(("ar", "fa", "ur"), "cp1256"),
    "el": "cp1253",
    "he": "cp1255",
    "vi": "cp1258",
    "th": "cp874",
    "ja": "cp932",
    "ko": "cp949",
    "zh": "gb18030",
    "zh_tw": "big5hkscs",
    "zh_hk": "big5hkscs",
}
_SAMPLE_BYTES = 1 << 18
_MAX_CHARS = 4096
_MAX_CANDIDATES = 14
_FLOOR = 0.003
_LOCALE_BONUS = 0.035
"""Bonus of the locale's encoding, for one character outside ASCII; the more there are, the less it
is. chardet's confidence in a short text is 0.01 to 0.1."""
_UNUSUAL_FACTOR = 0.7
_FULL_COST = 30
"""Number of characters outside ASCII up to which each oddity counts fully."""

_DENSE = frozenset(
    ("CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "HANGUL", "FULLWIDTH", "THAI")
)
"""Scripts that are written next to Latin letters without a space."""
_NEVER_AT_LETTERS = frozenset("£¥¤¦¬±¯¶")
_NEVER_AFTER_LETTERS = frozenset("¹¼½¾¿¡©®")
_NEVER_BEFORE_LETTERS = frozenset("©®™")
_RARE_LETTERS = frozenset("ŕŔĺĹ")
_WORD_SIGNS = frozenset("\u2019\u00b7\u2011\u2013\u2014\u2026")
_OUTSIDE_ASCII = re.compile(rb"[\x80-\xff]")
_WORDS = re.compile(r"(?:[^\W\d_]|[\u0e31-\u0e4e])+")
_LONE_LETTERS = frozenset("àáâãäåæèéêíìîóòôöøúùûüýÀÁÂÄÅÆÈÉÍÓÔÖØÚÜ")
"""Letters outside ASCII that are words."""


def guess_encoding(data: bytes) -> str:
    """Return the encoding in which bytes that are not UTF-8 are most plausible as text."""
    sample = _sample(data)
    confidences = _confidences(sample)
    lines = b"\n".join(line for line in sample.splitlines() if not line.isascii())
    lines = lines[: 4 * _MAX_CHARS]
    usual = _locale_encoding()

    def score(name: str) -> float:
        text = lines.decode(name, "replace")[:_MAX_CHARS]
        outside = sum(not char.isascii() for char in text)
        confidence = confidences[name] + _FLOOR
        if name == usual:
            confidence += _LOCALE_BONUS / max(1, outside)
        if name in _UNUSUAL:
            confidence *= _UNUSUAL_FACTOR
        return math.log(confidence) - _oddities(text) * min(1, _FULL_COST / max(1, outside))

    return max(confidences, key=score)


def _confidences(data: bytes) -> Mapping[str, float]:
    """Return chardet's confidence by encoding, the best first, and the locale's if it has none."""
    from chardet import detect_all

    found = detect_all(
        data, ignore_threshold=True, compat_names=False, include_encodings=_ENCODINGS
    )[:_MAX_CANDIDATES]
    ranked = {
        _CODECS.get(name, name): entry["confidence"]
        for entry in found
        if (name := entry["encoding"])
    }
    for name in (_locale_encoding(), *_EAST_ASIAN):
        ranked.setdefault(_CODECS.get(name, name), 0.0)
    return ranked


def _locale_encoding() -> str:
    """Return the encoding that was usual for the user's language before Unicode."""
    variables = (os.environ.get(name) for name in ("LC_ALL", "LC_CTYPE", "LANG"))
    name = next(filter(None, variables), None) or locale.getlocale()[0] or ""
    language = name.lower()
    return _LOCALES.get(language[:5]) or _LOCALES.get(language[:2], "cp1252")


def _sample(data: bytes) -> bytes:
    """Return a part of the data that begins with the first line outside ASCII."""
    found = _OUTSIDE_ASCII.search(data)
    first = found.start() if found else 0
    begin = data.rfind(b"\n", max(0, first - _MAX_CHARS), first) + 1 or max(0, first - _MAX_CHARS)
    return data[begin : begin + _SAMPLE_BYTES]


def _oddities(text: str) -> float:
    """Return the cost of the characters outside ASCII that do not go with their neighbours."""
    padded = f" {text} "
    signs = sum(
        _oddity(*padded[at - 1 : at + 2]) for at, char in enumerate(padded) if not char.isascii()
    )
    return signs + sum(_word_oddity(word) for word in _WORDS.findall(text) if not word.isascii())


def _word_oddity(word: str) -> float:
    """Return the cost of a word that has no letter of ASCII."""
    if any(char.isascii() for char in word):
        return 0
    script = _script(word[0])
    if len(word) == 1:
        return (
            bool(script)
            and word not in _LONE_LETTERS
            and (script == "THAI" or script not in _DENSE)
        )
    return max(0, len(word) - 2) if script == "LATIN" else 0


@lru_cache(maxsize=1 << 14)
def _oddity(before: str, char: str, after: str) -> float:
    """Return the cost of one character outside ASCII between its neighbours."""
    kind = unicodedata.category(char)
    if char == "\ufffd" or (kind in ("Cc", "Cn", "Co") and not char.isspace()):
        return 3
    cost = 0.0
    left, right = _script(before), _script(after)
    if char in _NEVER_AFTER_LETTERS or char in _NEVER_AT_LETTERS:
        cost += bool(left)
    if char in _NEVER_BEFORE_LETTERS or char in _NEVER_AT_LETTERS:
        cost += bool(right)
    if script := _script(char):
        cost += char in _RARE_LETTERS or script in ("FORM", "HALFWIDTH")
        cost += before.islower() and char.isupper()
        cost += char.islower() and after.isupper() and after.isascii()
        cost += script in _DENSE and _is_ascii_letter(before) and _is_ascii_letter(after)
        cost += _clash(before, char) + (after.isascii() and _clash(char, after))
    elif kind == "Sk" or "\u2500" <= char < "\u25a0":
        cost += 1 if left or right else 0.5
    elif left and right and char not in _WORD_SIGNS and not _DENSE & {left, right}:
        cost += kind not in ("Mn", "Cf", "Zs", "Nd", "Lm")
    return cost


def _is_ascii_letter(char: str) -> bool:
    return char.isascii() and char.isalpha()


def _clash(first: str, second: str) -> bool:
    """Tell whether two adjacent letters belong to scripts that are not mixed in a word."""
    scripts = {_script(first), _script(second)}
    return len(scripts) == 2 and "" not in scripts and not scripts & _DENSE


@lru_cache(maxsize=1 << 14)
def _script(char: str) -> str:
    """Return the script of a letter, and nothing for other characters."""
    if unicodedata.category(char) not in ("Lu", "Ll", "Lt", "Lo") or char in "ªºµ":
        return ""
    words = unicodedata.name(char, "").split(" ")
    return "FORM" if "FORM" in words else words[0]
