"""Print the definitions that tree-sitter finds in files, one line of JSON for each file.

    .venv-headings/bin/python benchmarks/headings/grammars.py < names

It runs in an environment of its own, because nothing else needs tree-sitter.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from tree_sitter import Language, Node, Parser

_GRAMMARS = {
    ".py": ("tree_sitter_python", "language"),
    ".java": ("tree_sitter_java", "language"),
    ".c": ("tree_sitter_c", "language"),
    ".h": ("tree_sitter_cpp", "language"),
    ".hpp": ("tree_sitter_cpp", "language"),
    ".cc": ("tree_sitter_cpp", "language"),
    ".cpp": ("tree_sitter_cpp", "language"),
    ".go": ("tree_sitter_go", "language"),
    ".rs": ("tree_sitter_rust", "language"),
    ".ts": ("tree_sitter_typescript", "language_typescript"),
    ".js": ("tree_sitter_javascript", "language"),
    ".rb": ("tree_sitter_ruby", "language"),
    ".sh": ("tree_sitter_bash", "language"),
}
_DEFINITIONS = """
    function_definition class_definition class_declaration interface_declaration enum_declaration
    record_declaration annotation_type_declaration method_declaration constructor_declaration
    compact_constructor_declaration class_specifier namespace_definition function_declaration
    function_item enum_item trait_item impl_item struct_item union_item mod_item macro_definition
    abstract_class_declaration generator_function_declaration method_definition internal_module
    module method singleton_method singleton_class class struct_specifier union_specifier
    enum_specifier type_declaration type_alias_declaration
""".split()  # noqa: SIM905 - a list of 32 strings takes 32 lines
_NEED_BODY = (
    "struct_specifier", "union_specifier", "enum_specifier", "class_specifier", "mod_item",
    "module",
)  # fmt: skip
_UNPARSED = ("ERROR", "macro_invocation", "macro_definition", "preproc_function_def")
_FUNCTIONS = ("arrow_function", "function_expression", "generator_function")
_GIVES_NAME = {
    "variable_declarator": ("name", "value"),
    "assignment_expression": ("left", "right"),
    "pair": ("key", "value"),
    "public_field_definition": ("name", "value"),
    "field_definition": ("property", "value"),
}


def main() -> None:
    """Read names of files, print what is in each."""
    parsers: dict[str, Parser] = {}
    for line in sys.stdin:
        path = Path(line.rstrip("\n"))
        module, function = _GRAMMARS[path.suffix]
        if path.suffix not in parsers:
            language = Language(getattr(importlib.import_module(module), function)())
            parsers[path.suffix] = Parser(language)
        data = path.read_bytes()
        nodes = list(_nodes(parsers[path.suffix].parse(data).root_node))
        found = [
            (node.start_byte, node.end_byte, name.start_byte, (name.text or b"").decode())
            for node in nodes
            if (name := _name(node)) is not None
        ]
        unparsed = [
            (node.start_byte, node.end_byte, node.start_byte, "")
            for node in nodes
            if node.type in _UNPARSED
        ]
        print(json.dumps([_in_characters(data, places) for places in (found, unparsed)]))


def _nodes(root: Node) -> Iterator[Node]:
    """Yield all nodes, outermost first."""
    pending = [root]
    while pending:
        node = pending.pop()
        yield node
        pending += reversed(node.children)


def _name(node: Node) -> Node | None:
    """Return the node of a definition's name, or None."""
    if node.type in _GIVES_NAME:
        name, value = (node.child_by_field_name(field) for field in _GIVES_NAME[node.type])
        return name if value is not None and value.type in _FUNCTIONS else None
    if node.type not in _DEFINITIONS or not node.is_named or not _has_body(node):
        return None
    if node.type == "impl_item":
        return node.child_by_field_name("type")
    if node.type == "singleton_class":
        return node.child_by_field_name("value")
    if node.type == "type_declaration":
        return node.named_children[0].child_by_field_name("name")
    return node.child_by_field_name("name") or _declared(node)


def _has_body(node: Node) -> bool:
    """Tell whether a definition has a body in braces, where it might have none."""
    if node.type in _NEED_BODY:
        return node.child_by_field_name("body") is not None
    if node.type in ("struct_item", "union_item"):
        return bool(node.children[-1].type != ";")
    if node.type == "type_declaration":
        kind = node.named_children[0].child_by_field_name("type")
        return kind is not None and kind.type in ("struct_type", "interface_type")
    if node.type == "type_alias_declaration":
        value = node.child_by_field_name("value")
        return value is not None and value.type == "object_type"
    return True


def _declared(node: Node) -> Node | None:
    """Return the name of a function in C or C++."""
    declarator = node.child_by_field_name("declarator")
    while declarator is not None and declarator.type != "function_declarator":
        inner = (child for child in declarator.children if child.type.endswith("declarator"))
        declarator = declarator.child_by_field_name("declarator") or next(inner, None)
    return declarator and declarator.child_by_field_name("declarator")


def _in_characters(
    data: bytes, found: list[tuple[int, int, int, str]]
) -> list[tuple[int, int, int, str]]:
    """Return places counted in characters instead of bytes."""
    if data.isascii():
        return found
    before = [0]
    for byte in data:
        before.append(before[-1] + (byte & 0xC0 != 0x80))
    return [(before[start], before[end], before[at], name) for start, end, at, name in found]


if __name__ == "__main__":
    main()
