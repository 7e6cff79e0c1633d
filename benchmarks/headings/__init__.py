"""Headings of code compared with the definitions that tree-sitter finds."""
