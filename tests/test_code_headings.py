"""Headings of code: the definition around every place, in each language, in linear time."""

from __future__ import annotations

import re
import time

import pytest

from localembed.chunking.headings import paths_at
from localembed.chunking.languages import _TABLES
from localembed.chunking.structure import find_headings
from localembed.readers import code_language, document_kind

SNIPPETS = {
    "python": (
        "a.py",
        '"""The class of things; def nothing."""\nX = "def no():"\n\n'
        "class Shelf:\n    Body1\n\n    @property\n    def read(\n        self,\n    ) -> int:\n"
        "        '''\nclass Prose\n'''\n        Body2\n\n        async def inner():\n"
        "            Body3\n        Body4\n\n    # about close\n    def close(self): Body5\n\n"
        "Body6\n",
        ["class Shelf", "class Shelf > def read", "class Shelf > def read > def inner",
         "class Shelf > def read", "class Shelf > def close", ""],
    ),
    "java": (
        "A.java",
        "/* class No { */\npackage a;\n@Marked({1})\npublic final class Array<T extends B<T>> "
        "extends Base<T> {\n  private String s = \"{\";\n  Body1;\n"
        "  public Array(int n) { Body2 }\n"
        "  @Override\n  public <R> Map<String, List<R>> of(Function<T, R> f)\n"
        "      throws IOException {\n    if (n > 0) { Body3 }\n    run(new Thread() {\n"
        "      public void start() { }\n    });\n    Body4\n  }\n"
        "  enum Kind { ONE(1) { int size() { Body5 } }; Kind(int n) { } }\n"
        "  record Point(int x, int y) { Body6 }\n}\nBody7\n",
        ["class Array", "class Array > Array", "class Array > of", "class Array > of",
         "class Array > enum Kind > size", "class Array > record Point", ""],
    ),
    "c": (
        "a.c",
        "#define BAD(x) if (x) {\nstruct point { Body1 };\nstatic struct stat *\n"
        "find(const char *s)\n"
        "{\n  struct stat st;\n  char c = '{';\n#ifdef A\n  if (a) {\n#else\n  if (b) {\n#endif\n"
        "    Body2\n  }\n}\nint proto(void);\nBody3;\nTEST(first, case) { Body4 }\n"
        "static int table[] = { 1, 2, Body5 };\n"
        "int last(void) { for (i = 0; i < 3; i++) { Body6 } }\n",
        ["struct point", "find", "", "TEST(first, case)", "", "last"],
    ),
    "cpp": (
        "a.cc",
        "namespace a::b {\ntemplate <class T>\nclass Set final : public Base<T> {\n public:\n"
        "  explicit Set(int n) : size_{n}, rest_(n) { Body1 }\n"
        "  bool operator==(const Set& o) const noexcept { Body2 }\n"
        "  ~Set() override { Body3 }\n};\ntemplate <> struct hash<Set<int>> { Body4 };\n"
        "template <typename T>\nauto Set<T>::find(T x) const -> std::vector<T> {\n"
        "  auto f = [&](int y) { return y; };\n  const char* r = R\"x(} \")x\";\n  Body5\n}\n"
        "}  // namespace\nBody6\n",
        ["namespace a::b > class Set > Set", "namespace a::b > class Set > operator==",
         "namespace a::b > class Set > ~Set", "namespace a::b > struct hash<Set<int>>",
         "namespace a::b > Set<T>::find", ""],
    ),
    "csharp": (
        "a.cs",
        "namespace N {\n  [Serializable]\n  public class Box<T> : IBox where T : class {\n"
        "    public Box(T t) { Body1 }\n    public async Task<int> Read(int n) { Body2 }\n  }\n}\n",
        ["namespace N > class Box > Box", "namespace N > class Box > Read"],
    ),
    "go": (
        "a.go",
        "package a\n\ntype Shelf struct {\n\tBody1\n}\n\nfunc (s *Shelf) Close(f func(int) error) "
        "(err error) {\n\tx := `}`\n\tgo func() { Body2 }()\n}\n\nfunc Map[K any](k K) K {\n"
        "\tBody3\n}\n\nvar Body4 = 1\n",
        ["type Shelf struct", "func (s *Shelf) Close", "func Map", ""],
    ),
    "rust": (
        "a.rs",
        "pub struct Glob<'a> { Body1 }\n\nimpl<'a> std::fmt::Display for Glob<'a> where A: B {\n"
        "    /// fn doc\n    fn fmt(&self, f: &mut F<'_>) -> fmt::Result {\n"
        "        let c = '{'; let s = r#\"}\"#;\n        Body2\n    }\n}\n\n"
        "pub(crate) fn run() -> impl Iterator<Item = u8> {\n    Body3\n}\n\nmod tests { Body4 }\n",
        ["struct Glob", "impl<'a> std::fmt::Display for Glob<'a> > fn fmt", "fn run", "mod tests"],
    ),
    "typescript": (
        "a.ts",
        "export interface Options { a: number; Body1 }\n\nexport abstract class Socket<T> extends "
        "Base<T> {\n  constructor(private a: { b: string }, c = {}) { Body2 }\n"
        "  async send(x: string): Promise<{ ok: boolean }> {\n    if (x) { Body3 }\n  }\n"
        "  private close = (): void => { Body4 }\n  get size(): number { Body5 }\n}\n\n"
        "export const make = async <T>(a: T): Promise<T> => {\n  Body6\n}\n",
        ["interface Options", "class Socket > constructor", "class Socket > send",
         "class Socket > close", "class Socket > size", "make"],
    ),
    "javascript": (
        "a.js",
        "const re = /[\"'`{]/\nconst find = (a, { b = 1 }) => {\n  Body1\n}\n\n"
        "module.exports.load = async function (x) { Body2 }\n\nconst api = {\n  a: 1,\n"
        "  get(x) { Body3 },\n  put: function (y) { Body4 },\n}\n\nclass Big {\n"
        "  #own() { Body5 }\n}\n"
        "function outer() {\n  list.map((x) => { Body6 })\n  const s = `${a ? `}` : '}'}`\n"
        "  const one = x => { Body7 }\n}\nBody8\n",
        ["find", "module.exports.load", "get", "put", "class Big > #own", "function outer",
         "function outer > one", ""],
    ),
    "ruby": (
        "a.rb",
        "# class of things\nmodule A\n  class B < C\n    Body1\n    def self.run(a)\n"
        "      x = <<~JS\n"
        "        function toggle() {\n      JS\n      y if z\n      Body2\n    rescue\n"
        "      Body3\n"
        "    end\n\n    private\n\n    def ok? = true\n    Body4\n    def [](k)\n      Body5\n"
        "    end\n"
        "  end\nend\nBody6\n",
        ["module A > class B", "module A > class B > def self.run",
         "module A > class B > def self.run", "module A > class B",
         "module A > class B > def []", ""],
    ),
    "bash": (
        "a.sh",
        "#!/bin/sh\nmain () {\n  cat <<EOF\n}\nfake() {\nEOF\n  x=\"$(echo 's/\"//')\"\n"
        "  Body1\n}\n\n"
        "function do-it\n{\n  # it's } fine\n  Body2\n}\none() { echo; }\nBody3\n",
        ["main", "do-it", ""],
    ),
    "php": (
        "a.php",
        "<p>Don't</p>\n<?php\nclass Cart extends Base {\n  public function add(array $x): void {\n"
        "    $s = 'function no() {';\n    Body1\n  }\n}\nBody2\n",
        ["class Cart > function add", ""],
    ),
    "kotlin": (
        "a.kt",
        "data class P(val x: Int) {\n  companion object {\n    fun of(x: Int): P {\n"
        "      Body1\n    }\n"
        "  }\n}\n\nfun <T> List<T>.second(): T {\n  Body2\n}\n",
        ["class P > companion object > fun of", "fun <T> List<T>.second"],
    ),
    "swift": (
        "a.swift",
        "extension Shelf: Closable {\n  init(x: Int) { Body1 }\n"
        "  public func close() throws -> Int {\n"
        "    Body2\n  }\n}\n",
        ["extension Shelf > init", "extension Shelf > func close"],
    ),
    "perl": (
        "a.pl",
        "package A;\n=pod\n\nsub no {\n\n=cut\nsub run {\n  my $x = 'it';\n  Body1\n}\nBody2\n",
        ["sub run", ""],
    ),
    "lua": (
        "a.lua",
        "-- function no()\nlocal function f(x)\n  Body1\nend\n\nM.g = function()\n  Body2\n"
        "end\nBody3\n",
        ["function f", "M.g", ""],
    ),
    "elixir": ("a.ex", "defmodule A.B do\n  def run(x) do\n    Body1\n  end\nend\n",
               ["defmodule A.B > def run"]),
    "julia": ("a.jl", "function f(x)\n  Body1\nend\nBody2\n", ["function f", ""]),
    "r": ("a.r", "f <- function(x) {\n  Body1\n}\nBody2\n", ["f", ""]),
    "lisp": ("a.el", "(defun run (x)\n  Body1)\n\n(Body2)\n", ["defun run", ""]),
    "schema": ("a.proto", "message A {\n  Body1\n}\nservice B { Body2 }\n",
               ["message A", "service B"]),
    "scala": ("a.scala", "object A {\n  def run(x: Int): Int = {\n    Body1\n  }\n}\n",
              ["object A > def run"]),
    "other": ("a.ps1", "function Get-It {\n  Body1\n}\nBody2\n", ["function Get-It", ""]),
}  # fmt: skip


def headings(name, text):
    path = name.encode()
    return find_headings(text, document_kind(path), code_language(path))


@pytest.mark.parametrize("newline", ["\n", "\r\n"], ids=["unix", "windows"])
@pytest.mark.parametrize("language", SNIPPETS)
def test_the_definitions_around_a_place_are_its_path(language, newline):
    name, text, wanted = SNIPPETS[language]
    text = text.replace("\n", newline)
    places = [match.start() for match in re.finditer(r"Body\d", text)]

    assert list(paths_at(headings(name, text), places)) == wanted


@pytest.mark.parametrize("language", SNIPPETS)
def test_a_heading_holds_its_title_and_ends_behind_it(language):
    name, text, _ = SNIPPETS[language]
    found = headings(name, text)

    assert found
    for heading in found:
        assert 0 <= heading.start < heading.end <= heading.stop <= len(text)
        assert "".join(heading.title.split()) in "".join(text[heading.start : heading.end].split())
    assert [heading.start for heading in found] == sorted(heading.start for heading in found)


def test_letters_of_other_scripts_move_no_place():
    text = "# größe 名前 👩\ndef f():\n    名 = '👩'\n    Body1\n"

    assert list(paths_at(headings("a.py", text), [text.index("Body1")])) == ["def f"]


def test_comments_and_annotations_belong_to_the_definition_below():
    text = "class A {\n  int x;\n\n  /** About f. */\n  @Test\n  void f() {\n  }\n}\n"
    method = headings("A.java", text)[1]

    assert text[method.start :].lstrip().startswith("/** About f.")


def test_a_chunk_behind_a_function_is_not_in_it():
    text = "def f():\n    pass\n\n# about the rest\nx = 1\n"

    assert list(paths_at(headings("a.py", text), [text.index("# about")])) == [""]


HOSTILE = {
    "nested braces": "class A { void f() {",
    "closing braces": "}",
    "parentheses": "f(",
    "parentheses with braces": "f({a:",
    "heads without end": "x y z w ",
    "definitions": "class A {}\nvoid f(int a) { if (x) { } }\n",
    "functions on a line": "def f(): pass; class A: pass ",
    "open definitions": "f() {\n",
    "deeper lines": "\n def f():\n  class A:",
    "quotes": "\"'`",
    "unterminated strings": "x = \"abc\ny = 'abc\n",
    "unterminated comments": "/* ",
    "triple quotes": '"""\n',
    "heredocs": "cat <<A\n",
    "different heredocs": "cat <<A{n}\n",
    "substitutions": 'x="$(a "$(',
    "conditions": "#if A\n{\n#else\n(\n",
    "arrows": "const f = (a) => { ",
    "types": "a: b<c<d, ",
    "generics": "class A<B<C<D<E ",
    "annotations": "@A(1) @B ",
    "labels": "public: private: ",
    "assignments": "a = b : c = ",
    "scopes": "a::b::c<d>::",
    "regular expressions": "= /[(\\/",
    "comments": "// a\n",
    "impl": "impl A for B ",
}


TABLES = sorted({id(table): name for name, table in _TABLES.items()}.values())


@pytest.mark.parametrize("language", TABLES)
def test_hostile_code_takes_linear_time(language):
    slow = {}
    for name, unit in HOSTILE.items():
        text = "".join(unit.replace("{n}", str(n)) for n in range(40_000 // len(unit)))
        begin = time.process_time()
        found = find_headings(text, "code", language)
        seconds = time.process_time() - begin
        if seconds > 1:
            slow[name] = round(seconds, 2)
        assert all(len(heading.title) <= 120 for heading in found)

    assert slow == {}
