"""What definitions look like in each programming language; `code_structure` reads these tables.

Patterns are matched against ASCII bytes, with every other character replaced by a letter. All of
them take linear time: whatever repeats is possessive or bounded by a mark that ends the repetition.
"""

from __future__ import annotations

from dataclasses import dataclass

_LINE_STRING = r'"(?:[^"\\\n]++|\\(?s:.))*+"?'
_LINE_STRING_1 = r"'(?:[^'\\\n]++|\\(?s:.))*+'?"
_STRING = r'"(?s:[^"\\]++|\\.)*+"?'
_TEMPLATE = (
    r"`(?s:[^`\\$]++|\\.|\$\{(?:[^{}`\"']{1,400}+|`[^`]{0,400}+`|\"[^\"\n]{0,400}+\"|'[^'\n]{0,400}+'|"
    r"\{[^{}]{0,400}+\}){0,60}+\}|\$)*+`?"
)
"""A template, whose `${…}` may have strings of its own."""
_CHARACTER = r"'(?:[^'\\\n]|\\[^\n][^'\n]{0,8})'"
_TRIPLE = r'"""(?s:[^"\\]++|\\.|"(?!""))*+(?:"""|\Z)'
_TRIPLE_1 = r"'''(?s:[^'\\]++|\\.|'(?!''))*+(?:'''|\Z)"
_SLASHES = r"//[^\n]*+|/\*(?s:.*?)(?:\*/|\Z)"
_HASH = r"#[^\n]*+"
_HASH_WORD = r"#(?:(?<=[\s;&|()]#)|(?<=\A#))[^\n]*+"
"""A comment where `#` begins a word: `$#` and `${#name}` begin none."""
_REGEX = (
    r"/(?:(?<=[=(,:;!&|?{\[]/)|(?<=[=(,:;!&|?{\[] /)|(?<=return /))(?![/*])"
    r"(?:[^/\\\[\n]|\\.|\[(?:[^\]\\\n]|\\.){0,99}+\]){1,200}+/"
)
_DIRECTIVE = (
    r"#(?:(?<=\n#)|(?<=\n[ \t]#)|(?<=\n  #)|(?<=\n    #)|(?<=\A#))[ \t]*"
    r"(?:define|undef|pragma|include|error|warning|if|el|endif)(?s:[^\\\n]++|\\.)*+"
)
_NESTED_TYPES = r"<(?:[^<>(){};]|<(?:[^<>(){};]|<[^<>(){};]*+>)*+>)*+>"

_CONTROL = (
    "if for while switch catch return else do synchronized using lock foreach with sizeof until "
    "unless elsif elif when case new throw await yield typeof function guard where match loop in "
    "assert defined not and or fixed checked unchecked super this try finally select go defer"
)
NOT_NAMES = frozenset(_CONTROL.encode().split())
"""Words before a parenthesis that are no name of a function."""
SKIPPED_NAMES = frozenset(
    b"__attribute__ __declspec alignas _Alignas decltype noexcept requires throw throws explicit "
    b"__asm__ asm __typeof__ typeof".split()
)
"""Words before a parenthesis that is not the list of a function's parameters."""


@dataclass(frozen=True, slots=True)
class Braces:
    """A language in which `{` and `}` enclose a definition."""

    noise: str
    """Comments and strings."""
    keywords: str
    """Definitions that a keyword introduces; the whole match is the title."""
    functions: str = ""
    """Where `name(…) {` defines a function: "members" outside of functions, "anywhere", or ""."""
    by_lines: bool = False
    """Whether a line end ends a statement, so that the last keyword before `{` counts."""
    preprocessor: bool = False
    """Whether `#if` may hide braces, and macros may define functions."""
    heredocs: bool = False
    comments: str = r"//|/\*|\*"
    """Beginnings of lines that belong to the definition below them."""


@dataclass(frozen=True, slots=True)
class Indented:
    """A language, or its usual style, in which indentation shows where a definition ends."""

    noise: str
    definition: str
    """A definition from its first character that is not a blank; the group `title` is the title."""
    closing: str = r"(?!)"
    """Beginning of a line, as far out as the definition, that is its last."""
    continuing: str = r"[)\]}]"
    """Beginning of a line, as far out as the definition, that does not end it."""
    whole: str = r"(?!)"
    """Rest of a line that is a definition from beginning to end."""
    heredocs: bool = False
    comments: str = r"[#@]"


Language = Braces | Indented

_C_TYPES = (
    r"(?:class|struct|union|enum(?:[ \t\n]+(?:class|struct))?|namespace)\b(?:[ \t\n]+(?:final\b|"
    r"alignas[ \t]*\([^()]*+\)|__attribute__[ \t]*\(\([^()]*+(?:\([^()]*+\)[^()]*+)?\)\)|"
    r"\[\[[^\[\]]*+\]\]|[A-Z][A-Z0-9_]+(?:\([^()]*+\))?(?=[ \t\n]+\w)))*+[ \t\n]+"
    rf"[\w:]+(?:{_NESTED_TYPES})?(?=[ \t\n]*(?:final[ \t\n]*)?(?::(?!:)|\Z))"
)
_C = Braces(
    noise=rf"{_SLASHES}|{_DIRECTIVE}|\"(?:(?<=R\")(?P<raw>[^()\\\s\"]{{0,16}})\((?s:.*?)"
    rf"(?:\)(?P=raw)\"|\Z)|(?:[^\"\\\n]++|\\(?s:.))*+\"?)|'(?<![0-9a-fA-F]')(?:[^'\\\n]|\\(?s:.))++'",
    keywords=_C_TYPES,
    functions="members",
    preprocessor=True,
)
_SCRIPT = Braces(
    noise="|".join([_SLASHES, _LINE_STRING, _LINE_STRING_1, _TEMPLATE, _REGEX]),
    keywords=(
        r"(?:class|interface|enum|namespace|module)[ \t]+(?!extends\b|implements\b)[\w$.]+"
        r"(?=[ \t\n]*(?:<|extends\b|implements\b|\Z))|"
        r"function[ \t]*\*?[ \t]*[\w$]+(?=[ \t\n]*[<(])|type[ \t]+[\w$]+(?=[^=;{}]*=[ \t\n]*\Z)"
    ),
    functions="anywhere",
    by_lines=True,
    comments=r"//|/\*|\*|@",
)
_JAVA = Braces(
    noise="|".join([_SLASHES, _TRIPLE, _LINE_STRING, _CHARACTER]),
    keywords=(
        r"(?:class|interface|enum|record|namespace|struct|mixin)[ \t\n]+[\w.]+"
        rf"(?=[ \t\n]*(?:{_NESTED_TYPES})?[ \t\n]*"
        r"(?:[:(]|\Z|(?:extends|implements|permits|where|with|on)\b))"
    ),
    functions="members",
    comments=r"//|/\*|\*|@|\[",
)


def _keyword_functions(
    noise: str, keywords: str, comments: str = r"//|/\*|\*|@|#\[", *, by_lines: bool = True
) -> Braces:
    """Return a language in which a keyword introduces every definition."""
    return Braces(noise=noise, keywords=keywords, by_lines=by_lines, comments=comments)


_GO = _keyword_functions(
    "|".join([_SLASHES, _LINE_STRING, r"`[^`]*+`?", _CHARACTER]),
    r"(?:func[ \t]+(?:\([^()]*+\)[ \t]*)?(?:\w+))"
    r"|(?:type[ \t]+\w+[ \t]*(?:\[[^\[\]\n]*+(?:\[\][^\[\]\n]*+)*+\][ \t]*)?"
    r"(?:struct|interface)(?=[ \t]*\Z))",
)
_RUST = _keyword_functions(
    "|".join(
        [
            r"//[^\n]*+|/\*(?s:.*?)(?:\*/|\Z)",
            r'"(?:(?<=r")[^"]*+"?|(?<=r#")(?s:.*?)(?:"#|\Z)|(?<=r##")(?s:.*?)(?:"##|\Z)|'
            r'(?<=r###")(?s:.*?)(?:"###|\Z)|(?s:[^"\\]++|\\.)*+"?)',
            _CHARACTER,
        ]
    ),
    r"(?:(?:fn|struct|enum|trait|union|mod|macro_rules!)[ \t\n]+(?:\w+))"
    r"|(?:impl\b(?:(?!\bwhere\b)[^{;])*+)",
    by_lines=False,
)
_PHP = Braces(
    noise="|".join(
        [
            _SLASHES,
            r"#(?!\[)[^\n]*+",
            _STRING,
            r"'(?s:[^'\\]++|\\.)*+'?",
            r"<<<",
            r"\?>(?s:.*?)(?:<\?|\Z)",
            r"\A(?:[^<]|<(?!\?))(?s:.*?)(?:<\?|\Z)",
        ]
    ),
    keywords=r"(?:class|interface|trait|enum|function|namespace)[ \t\n]+&?(?:[\w\\]+)",
    heredocs=True,
    comments=r"//|/\*|\*|#",
)
_KOTLIN = _keyword_functions(
    "|".join([_SLASHES, _TRIPLE, _LINE_STRING, _CHARACTER]),
    rf"(?:fun[ \t]+(?:{_NESTED_TYPES}[ \t]*)?(?:[\w.]+(?:{_NESTED_TYPES}\.\w+)?))"
    r"|(?:(?:class|interface|object|trait|def|package)[ \t]+\w+)"
    r"|(?:companion[ \t]+object|constructor(?=[ \t]*\()|init(?=[ \t]*\Z))",
)
_SWIFT = _keyword_functions(
    "|".join([_SLASHES, _TRIPLE, _LINE_STRING]),
    r"(?:(?:func)[ \t]+(?:[^\s(<]+))"
    r"|(?:(?:class|struct|enum|protocol|extension|actor)[ \t]+(?!func\b|var\b)[\w.]+)"
    r"|(?:(?:init|subscript)(?=[?!]?[ \t]*[(<])|deinit(?=[ \t]*\Z))",
)
_BLOCKS = _keyword_functions(
    "|".join([_SLASHES, _LINE_STRING]),
    r"(?:message|service|enum|struct|union|exception|interface|type|input|contract|library|"
    r"function|fn|modifier|oneof|module|test)[ \t]+(?:\w+)",
    comments=r"//|/\*|\*|#",
)
_R = Indented(
    noise="|".join([_HASH, _STRING, r"'(?s:[^'\\]++|\\.)*+'?"]),
    definition=r"(?P<title>[\w.]++)[ \t]*(?:<-|=)[ \t]*function\b",
    closing=r"\}",
    continuing=r"[{)]|else\b",
)

_PYTHON = Indented(
    noise="|".join([_HASH, _TRIPLE, _TRIPLE_1, _LINE_STRING, _LINE_STRING_1]),
    definition=r"(?:async[ \t]+|cp?def[ \t]+)?(?P<title>(?:def|class)[ \t]+\w+)",
)
_RUBY = Indented(
    noise="|".join(
        [
            r"#(?!\{)[^\n]*+",
            _LINE_STRING,
            _LINE_STRING_1,
            r"=begin\b(?:(?<=\n=begin)|(?<=\A=begin))(?s:.*?)(?:\n=end\b|\Z)",
            r"__END__(?<=\n__END__)(?=\r?\n)(?s:.*)",
            r"<<(?:[~-](?=[\w\"'`])|(?=[A-Z\"'`]))",
        ]
    ),
    definition=(
        r"(?:(?:private|public|protected|module_function|private_class_method|memoize)[ \t]+)*+"
        r"(?P<title>(?:def|class|module)[ \t]+(?:<<[ \t]*\w+|(?:self\.|[A-Z]\w*\.)?"
        r"(?:[\w:]+[?!=]?|\[\]=?|[-+*/%<>=~!^&|]{1,3}@?)))"
    ),
    closing=r"end\b",
    continuing=(
        r"[)\]}.&|{]|"
        r"(?:rescue|ensure|else|elsif|when|in|then|private|protected|public|module_function)\b"
    ),
    heredocs=True,
    comments=r"#",
)
_SUBSTITUTION = (
    r"\$\((?:[^()\"'\\]{1,400}+|\\(?s:.)|'[^']{0,400}+'|\"(?:[^\"\\]|\\(?s:.)){0,400}+\"|"
    r"\([^()]{0,400}+\)){0,60}+\)"
)
"""What `"$(…)"` encloses may have quotes of its own."""
_SHELL_STRING = rf'"(?:[^"\\$]++|\\(?s:.)|{_SUBSTITUTION}|\$)*+"?'
_SHELL = Indented(
    noise="|".join(
        [
            r"\\(?s:.)",
            _HASH_WORD,
            r"'[^']*+'?",
            _SHELL_STRING,
            r"<<-?(?=[ \t]*[\w\"'\\])(?<!<<<)(?!<)",
        ]
    ),
    definition=r"(?:function[ \t]+(?P<word>[\w:.-]++)(?:[ \t]*\([ \t]*\))?|"
    r"(?P<title>[\w:.-]++)[ \t]*\([ \t]*\))[ \t]*(?:\n[ \t]*)?(?=[{(]|\Z|[ \t]*\r?\n[ \t]*[{(])",
    closing=r"[})]",
    continuing="",
    whole=r"[^\n]*[})][ \t;]*(?=\n|\Z)",
    heredocs=True,
    comments=r"#",
)
_FISH = Indented(
    noise="|".join([_HASH_WORD, _STRING, _LINE_STRING_1]),
    definition=r"(?P<title>function[ \t]+[\w:.-]+)",
    closing=r"end\b",
    comments="#",
)
_PERL = Indented(
    noise="|".join(
        [
            r"#(?:(?<=[\s;(){},]#)|(?<=\A#))[^\n]*+",
            r"=[a-z]\w*(?:(?<=\n=[a-z])|(?<=\n=[a-z]\w)|(?<=\n=[a-z]\w\w)|(?<=\n=[a-z]\w\w\w)|"
            r"(?<=\n=[a-z]\w\w\w\w))(?s:.*?)(?:\n=cut\b[^\n]*+|\Z)",
            r"__(?:END|DATA)__(?:(?<=\n__END__)|(?<=\n__DATA__))(?s:.*)",
            _LINE_STRING,
            r"'(?<![\w$&]')(?:[^'\\\n]++|\\(?s:.))*+'?",
            r"<<~?(?=[A-Z\"'])",
        ]
    ),
    definition=r"(?P<title>(?:sub|package|class|method)[ \t]+[\w:]+)(?=[^;{\n]*+(?:\n\s*)?\{)",
    closing=r"\}",
    whole=r"[^\n]*\}[ \t;]*(?=\n|\Z)",
    continuing=r"[{)]|els(?:e|if)\b",
    heredocs=True,
    comments=r"#",
)
_LUA = Indented(
    noise="|".join(
        [
            r"--(?:\[\[(?s:.*?)(?:\]\]|\Z)|[^\n]*+)",
            r"\[\[(?s:.*?)(?:\]\]|\Z)",
            _LINE_STRING,
            _LINE_STRING_1,
        ]
    ),
    definition=(
        r"(?:local[ \t]+)?(?:(?P<title>function[ \t]+[\w.:]+)|"
        r"(?P<word>[\w.]++)[ \t]*=[ \t]*function\b)"
    ),
    closing=r"end\b",
    continuing=r"[)\]}]|(?:else|elseif)\b",
    comments=r"--",
)
_ELIXIR = Indented(
    noise="|".join([_HASH, _TRIPLE, _LINE_STRING]),
    definition=r"(?P<title>(?:defmodule|defp?|defmacrop?|defprotocol|defimpl)[ \t]+[\w.?!]+)",
    closing=r"end\b",
    continuing=r"[)\]}]|(?:rescue|else|catch|after)\b",
)
_JULIA = Indented(
    noise="|".join([_HASH, _TRIPLE, _LINE_STRING]),
    definition=(
        r"(?P<title>(?:function|macro|module|(?:mutable[ \t]+)?struct|abstract[ \t]+type)"
        r"[ \t]+[\w.!]+)"
    ),
    closing=r"end\b",
    continuing=r"[)\]}]|(?:else|elseif|catch|finally)\b",
)
_LISP = Indented(
    noise="|".join([r";[^\n]*+", _STRING]),
    definition=(
        r"\((?P<title>(?:cl-)?def(?:un|macro|method|generic|class|struct|n|n-|protocol|record|ine|"
        r"subst|advice)\*?[ \t]+\(?[^\s()]+)"
    ),
    continuing=r"[)\]]",
    comments=r";",
)
_NIM = Indented(
    noise="|".join([_HASH, _TRIPLE, _LINE_STRING]),
    definition=r"(?P<title>(?:proc|func|method|iterator|template|macro|converter)[ \t]+\w+)",
)
_SCOPED = Indented(
    noise="|".join([r"\(\*(?s:.*?)(?:\*\)|\Z)", r"--[^\n]*+", r"//[^\n]*+", _LINE_STRING]),
    definition=(
        r"(?:(?:public|private|protected|shared|static)[ \t]+)*+"
        r"(?P<title>(?i:module|class|instance|sub|function|structure|interface|namespace)"
        r"[ \t]+[A-Z]\w*)"
    ),
    closing=r"(?i:end)\b",
    comments=r"//|--|\(\*|'",
)

_OTHER = Indented(
    noise="|".join([r"(?:#|//)[^\n]*+", r"/\*(?s:.*?)(?:\*/|\Z)", _TRIPLE, _LINE_STRING]),
    definition=(
        r"(?:(?:export|default|public|private|protected|static|abstract|final|async|pub)[ \t]+)*+"
        r"(?P<title>(?:def|class|fn|func|function|struct|enum|trait|impl|interface|namespace|module|"
        r"protocol|extension|object|record)[ \t]+[\w.-]+(?:::?[\w.-]+)*)"
    ),
    closing=r"[}]|end\b",
    continuing=r"[)\]{]",
    comments=r"[#@]|//|/\*|\*",
)
"""Common keywords, for a language without a table."""

_TABLES: dict[str, Language] = {
    "bash": _SHELL, "c": _C, "clojure": _LISP, "cpp": _C, "csharp": _JAVA, "dart": _JAVA,
    "elixir": _ELIXIR, "fish": _FISH, "go": _GO, "groovy": _JAVA, "java": _JAVA,
    "javascript": _SCRIPT, "julia": _JULIA, "kotlin": _KOTLIN, "lisp": _LISP, "lua": _LUA,
    "nim": _NIM, "objectivec": _C, "perl": _PERL, "php": _PHP, "python": _PYTHON, "r": _R,
    "ruby": _RUBY, "rust": _RUST, "scala": _KOTLIN, "schema": _BLOCKS, "swift": _SWIFT,
    "typescript": _SCRIPT, "visual": _SCOPED, "zig": _BLOCKS,
}  # fmt: skip


def language(name: str) -> Language:
    """Return what is known of a language."""
    return _TABLES.get(name, _OTHER)
