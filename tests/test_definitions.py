"""A query that is one identifier finds its definition in front of its mentions."""

from __future__ import annotations

from pathlib import Path

import pytest

from localembed.search.definitions import Definitions, is_identifier


@pytest.mark.parametrize(
    "query",
    ["parse_config", "parseConfig", "HttpClient", "HttpClient()", "json.dump", "std::sort", "utf8",
     "utils.py", "$scope_id", " parse_config "],
)  # fmt: skip
def test_these_are_identifiers(query):
    assert is_identifier(query)


@pytest.mark.parametrize("query", ["keys", "two words", "parse config", "", "What is os.path?"])
def test_these_are_not(query):
    assert not is_identifier(query)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("parse_config", "def parse_config(path):"),
        ("parse_config", "    async def parse_config(self, path):"),
        ("ini.parse_config()", "def parse_config(path):"),
        ("HttpClient", "class HttpClient(Base):"),
        ("parseConfig", "export async function parseConfig(path) {"),
        ("parseConfig", "const parseConfig = (path) => {"),
        ("ParseConfig", "func ParseConfig(path string) error {"),
        ("ParseConfig", "func (p *Parser) ParseConfig(path string) error {"),
        ("parse_config", "pub fn parse_config(path: &Path) {"),
        ("HttpClient", "pub(crate) struct HttpClient {"),
        ("parse_config", "sub parse_config {"),
        ("MAX_SIZE", "#define MAX_SIZE 12"),
        ("MAX_SIZE", "# define MAX_SIZE(x) (x)"),
        ("HttpClient", "typedef HttpClient"),
        ("json.dump", ".. function:: dump(obj, fp)"),
        ("asyncio.wait_for", ".. py:function:: asyncio.wait_for(aw)"),
        ("Parser.parse_config", "   .. method:: Parser.parse_config(path)"),
        ("Parser#parse_config", "  def Parser.parse_config"),
    ],
)
def test_a_word_in_front_introduces_a_name(query, text):
    assert Definitions(query).hold("", f"text before\n{text}\ntext after")


@pytest.mark.parametrize(
    ("query", "heading", "text"),
    [
        ("parseConfig", "class A > public Config parseConfig(Path path)",
         "public Config parseConfig(Path path) {\n  return null;"),
        ("parse_config", "static int parse_config", "static int parse_config(const char *p)\n{"),
        ("parse_config", "parse_config()", "parse_config() {\n  cat"),
    ],
)  # fmt: skip
def test_a_heading_that_begins_in_the_chunk_names_its_definition(query, heading, text):
    assert Definitions(query).hold(heading, text)


@pytest.mark.parametrize(
    ("query", "heading", "text"),
    [
        ("parse_config", "", "value = parse_config(path)"),
        ("parse_config", "", "def parse_config_file(path):"),
        ("parse_config", "", "def reparse_config(path):"),
        ("parse_config", "", "from ini import parse_config"),
        ("parse_config", "", "undef parse_configs"),
        ("HttpClient", "class HttpClient", "    def close(self): ..."),
        ("HttpClient", "class HttpClientPool", "class HttpClientPool:"),
    ],
)
def test_a_mention_is_no_definition(query, heading, text):
    assert not Definitions(query).hold(heading, text)


@pytest.mark.parametrize("mode", ["hybrid", "text"])
def test_the_definition_is_the_first_hit(workspace, notes, mode):
    for n in range(12):
        uses = "\n".join(f"value{i} = parse_config(parse_config(path{i}))" for i in range(4))
        (notes / f"use{n}.py").write_text(f"from ini import parse_config\n\n{uses}\n")
    (notes / "ini.py").write_text(
        "import os\n\n\ndef parse_config(path):\n"
        '    """Return what a file of keys and values says, as a mapping, with defaults."""\n'
        "    return dict(line.split('=', 1) for line in open(os.fspath(path)))\n"
    )
    workspace.index()
    hits = workspace.query("parse_config", mode=mode)
    assert Path(hits[0].path).name == "ini.py"
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert Path(workspace.query("ini.parse_config()", mode=mode)[0].path).name == "ini.py"
