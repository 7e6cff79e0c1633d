"""One way to the terminal: whatever a text contains, no terminal interprets it."""

from __future__ import annotations

import ast
import json
import re

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from localembed.cli.render import output
from localembed.cli.render.output import echo, echo_json, linked, progress_bar, style
from localembed.cli.render.text import escaped, printable
from tests.conftest import PROJECT
from tests.static_model import write_static

BIDI = "".join(map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A))))
C1 = "".join(map(chr, range(0x80, 0xA0)))
HOSTILE = (
    f"\x1b]0;title\x07\x1b[2J\x1b[31mred\x1b[0m\x9b8m\x9d52;c;AA\x9c\x08\x7f\x00\r{BIDI}{C1}\u2028"
)
INTERPRETED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
CONTROLS = st.text(
    st.one_of(st.sampled_from(HOSTILE + "\n\t<>[m"), st.characters()), max_size=60
)  # fmt: skip

ELSEWHERE = {
    "localembed/cli/render/output.py": "this is the one way",
    "localembed/server/client.py": "relays what the resident rendered, with os.write",
    "localembed/store/lance/maintenance_child.py": "JSON for its parent process",
    "localembed/embedding/engines/openvino_convert.py": "JSON for its parent process",
}
"""Modules that write to stdout or stderr, and why they may."""


@given(CONTROLS)
def test_no_text_reaches_a_terminal_with_anything_that_it_interprets(text):
    assert not INTERPRETED.search(escaped(text))
    assert not INTERPRETED.search(printable(text))
    assert "\n" not in printable(text)
    escaped(text).encode()
    printable(text).encode()


@given(CONTROLS)
def test_lines_tabs_and_plain_words_stay_as_they_are(text):
    plain = "".join(
        c for c in text if (not INTERPRETED.match(c) and c.isprintable()) or c in "\n\t"
    )
    assert escaped(plain) == plain


@pytest.mark.parametrize(
    "text",
    ["日本\u3000語", "\u0645\u06cc\u200c\u062e", "👩\u200d👧", "a\xa0b", "Zei\xadle"],
)
def test_what_writing_needs_is_not_escaped_in_a_document(text):
    assert escaped(text) == text


def test_line_ends_of_windows_are_no_control_characters():
    assert escaped("one\r\ntwo\rthree") == "one\ntwo\\rthree"


def test_own_colours_survive_and_foreign_ones_do_not(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    echo(style("\x1b[31mname\x1b[0m", fg="cyan", bold=True))
    out = capsys.readouterr().out
    assert out == click.style("\\x1b[31mname\\x1b[0m", fg="cyan", bold=True) + "\n"


def test_no_text_can_imitate_an_own_code(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    echo(f"\x1b{'0' * 16}<\x1b[31m>" + style("x", fg="red").replace(output._KEY, "\x1b"))
    assert "\x1b" not in capsys.readouterr().out


def test_a_link_survives_and_its_path_is_quoted(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("VTE_VERSION", "7000")
    echo(linked("a", "/d/a>\x1b\x07 b"), nl=False)
    assert capsys.readouterr().out == "\x1b]8;;file:///d/a%3E%1B%07%20b\x1b\\a\x1b]8;;\x1b\\"


def test_json_stays_json_with_any_character(capsys):
    echo_json({HOSTILE: [HOSTILE]})
    out = capsys.readouterr().out
    assert not INTERPRETED.search(out.rstrip("\n"))
    assert json.loads(out) == {HOSTILE: [HOSTILE]}


def test_the_description_of_a_progress_bar_is_escaped(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with progress_bar(shown=True)(total=3, desc=HOSTILE, unit=HOSTILE) as bar:
        bar.set_postfix_str(HOSTILE)
        bar.update(1)
        assert not INTERPRETED.search(str(bar))
    assert "\x1b" not in capsys.readouterr().err


@pytest.fixture
def hostile(cli, notes):
    """A document whose name, heading and text hold everything that a terminal interprets."""
    name = re.sub("[/\0]", "", HOSTILE)
    text = f"# Heading {HOSTILE}\n\nwords {HOSTILE} here\r\n" + "A plain line of text.\n" * 9
    (notes / f"a{name}.md").write_bytes(text.replace("\0", "").encode())
    assert cli("init").code == 0
    assert cli("index", ".").code == 0
    return notes


@pytest.mark.parametrize("form", ["text", "markdown", "context", "vimgrep", "paths", "json"])
@pytest.mark.parametrize("tty", [True, False])
def test_every_format_that_a_person_reads_is_escaped(hostile, cli, monkeypatch, form, tty):
    monkeypatch.setattr("sys.stdout.isatty", lambda: tty)
    result = cli("query", "words", "--format", form)
    assert result.code == 0
    if form == "paths" and not tty:
        return  # names as they are, for another program
    shown = click.unstyle(result.out) if tty else result.out
    assert INTERPRETED.findall(shown.replace("\n", "")) == []
    assert "words" in shown or form == "paths"


@pytest.mark.parametrize(
    "arguments",
    [
        ("show", "."), ("status",), ("status", "--settings"), ("models", "list"),
        ("models", "use", "fake"), ("index", "--dry-run"), ("index", HOSTILE.replace("\0", "")),
        ("query", HOSTILE.replace("\0", ""), "--mode", "text"), ("doctor",), ("versions", "list"),
        ("versions", "tag", "x\x1b[31m"), ("eval", "q.tsv"), ("rm", HOSTILE.replace("\0", "")),
        ("bench", "--stages", "--quick"), ("serve", "--status"), ("init",), ("frobnicate\x1b[2J",),
    ],
)  # fmt: skip
def test_every_command_escapes_what_it_says(notes, cli, tmp_path, monkeypatch, arguments):
    home = tmp_path / re.sub("[/\0]", "", f"home{HOSTILE}")
    home.mkdir()
    monkeypatch.chdir(home)
    (home / f"n{HOSTILE.replace(chr(0), '')}.md").write_text(f"words {HOSTILE}\n")
    (home / "q.tsv").write_text(f"words {HOSTILE}\tn.md\n".replace("\r", ""))
    cli("init")
    cli("index", ".")
    (home / "new.md").write_text("more words")
    result = cli(*arguments)
    assert INTERPRETED.findall(re.sub("\n", "", result.out + result.err)) == []


def test_a_traceback_is_escaped_to_its_last_line(cli, monkeypatch):
    def fail(*_arguments, **_options):
        raise RuntimeError(HOSTILE)

    monkeypatch.setattr("localembed.workspace.workspace.Workspace.status", fail)
    result = cli("status")
    assert result.code == 70
    assert INTERPRETED.findall(result.err.replace("\n", "")) == []
    assert "RuntimeError: \\x1b]0;title" in result.err


def test_a_model_with_a_hostile_licence_and_folder_is_escaped(cli, tmp_path):
    folder = write_static(tmp_path / f"m\x1b[31m{BIDI}")
    result = cli("models", "add", folder, "--name", "added")
    again = cli("models", "verify")
    for one in (result, again, cli("models", "list"), cli("models", "use", "added")):
        assert INTERPRETED.findall((one.out + one.err).replace("\n", "")) == []
    assert result.code == 0


def _writers(tree: ast.AST):
    """Yield what writes to a standard stream: names and attributes, however they are called."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{name.name}" for name in node.names)
        elif isinstance(node, ast.Attribute):
            yield ast.unparse(node)
        elif isinstance(node, ast.Name):
            yield node.id


def test_only_one_module_prints():
    banned = re.compile(
        r"(click(\.\w+)?\.(echo|secho|style|progressbar|echo_via_pager|prompt|confirm|pause)"
        r"|print|input|(sys\.)?__?std(out|err)(__)?\.(write|writelines|buffer)"
        r"|sys\.std(out|err)\.(write|writelines|buffer)|traceback\.print_\w+"
        r"|pprint\.\w+|tqdm\.write)"
    )
    found = set()
    for file in sorted((PROJECT / "localembed").rglob("*.py")):
        tree = ast.parse(file.read_text())
        for name in _writers(tree):
            if banned.fullmatch(name):
                found.add((file.relative_to(PROJECT).as_posix(), name))
    assert {(path, name) for path, name in found if path not in ELSEWHERE} == set()
    assert {path for path, _ in found} <= set(ELSEWHERE)
