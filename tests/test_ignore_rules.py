"""Git's ignore rules from all their sources: what git ignores is ignored, and nothing else."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest

from localembed.sources.ignore_file import IgnoreFile, Rank, rule_path
from localembed.sources.ignore_lines import parse_lines
from tests.ignore_cases import compare, run_git, untracked, walked
from tests.test_walk import grow, names, reasons

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


@pytest.fixture(autouse=True)
def no_system_configuration(monkeypatch):
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


@pytest.fixture
def repository(tmp_path):
    return new_repository(tmp_path / "repository")


def new_repository(folder: Path) -> Path:
    folder.mkdir(parents=True)
    run_git(folder, "init", "-q")
    return folder


def with_commit(folder: Path) -> Path:
    who = ("-c", "user.name=x", "-c", "user.email=x")
    run_git(folder, *who, "commit", "-qm", "x", "--allow-empty")
    return folder


def same_as_git(folder: Path) -> list[str]:
    """Return the files that git and a walk of a folder find, which are the same."""
    expected = untracked(folder)
    assert walked(folder) == expected
    return sorted(os.fsdecode(name) for name in expected)


def test_random_cases_ignore_what_git_ignores(tmp_path, own_home):
    seed = 23 if os.environ.get("CI") else random.randrange(10**6)
    ignore_file = own_home / "config" / "git" / "ignore"
    different, telling = compare(tmp_path, ignore_file, seed=seed, cases=200)

    assert different == [], seed
    assert telling > 20


# Lines

LINES = {
    "trailing tab": "a.txt\t",
    "trailing carriage returns": "a.txt\r\r",
    "carriage return and line feed": "a.txt\r",
    "trailing spaces": "a.txt  ",
    "a kept space": "a.txt\\ ",
    "three stars": "/sub/***/b.txt",
    "three stars in a name": "a***t",
    "stars that are part of a name": "/sub/**b.txt",
    "a slash behind a backslash": "sub/**\\/b.txt",
    "spaces by class": "a[[:space:]]b.txt",
    "brackets in a bracket": "*[\\[\\]]*",
    "a class that is unknown": "[[:letter:]].txt",
    "a class without an end": "[[:alpha:",
    "a bracket first": "[]x].txt",
    "a range with a backslash": "[\\a-b].txt",
    "a dash last": "[x-].txt",
    "a slash in a bracket": "sub[/x]b.txt",
    "a hash": "\\#a",
    "an exclamation mark": "\\!a",
    "a backslash at the end": "a\\",
    "an escaped star": "\\*.txt",
    "two slashes": "sub//b.txt",
    "two slashes at the end": "sub//",
    "everything below": "/**",
    "a NUL": "a.txt\0b",
}
TREE = [
    *("a.txt", "b.txt", "a.txt\t", "a.txt\r", "a.txt ", "a b.txt", "a\tb.txt", "a[1]", "#a", "!a"),
    *(
        "a\\",
        "*.txt",
        "].txt",
        "-.txt",
        "sub/b.txt",
        "sub/deep/b.txt",
        "sub/ab.txt",
        "sub/x/ab.txt",
    ),
]


@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
def test_a_line_matches_what_git_matches(repository, line):
    grow(repository, TREE)
    (repository / ".gitignore").write_bytes(f"{line}\n".encode())
    same_as_git(repository)


def test_a_wildcard_matches_one_character(tmp_path):
    """Git compares bytes of UTF-8 and would need two question marks."""
    grow(tmp_path, {".gitignore": "?.md\n[äö]x.md\n", "ü.md": "x", "äx.md": "x", "üx.md": "x"})

    assert names(tmp_path) == ["üx.md"]


def test_brackets_have_the_members_that_git_gives_them(repository):
    letters = [chr(code) for code in range(1, 127) if chr(code) not in "./"]
    grow(repository, [f"{letter}x" for letter in letters])
    classes = ("alnum", "alpha", "blank", "cntrl", "digit", "graph", "lower", "print", "punct")
    every = (*classes, "space", "upper", "xdigit")
    for line in [*(f"[[:{name}:]]x" for name in every), "[!-~]x", "[^a-y]x", "[+--]x", "[Y-b]x"]:
        (repository / ".gitignore").write_text(f"{line}\n")
        same_as_git(repository)


def test_case_is_ignored_where_git_ignores_it(repository):
    run_git(repository, "config", "core.ignoreCase", "true")
    lines = "readme.MD\n\\Bad\n*.[A]\n*.[X-Z]\n*.[[:upper:]]2\n/Sub/*.TXT\n"
    grow(repository, ["README.md", "bad", "x.a", "x.A", "y.x", "z.q2", "sub/b.txt", "other.md"])
    (repository / ".gitignore").write_text(lines)
    (repository / ".localembedignore").write_text("OTHER.md\n")

    assert walked(repository) == untracked(repository)


# The root that is indexed


def test_a_root_that_a_nearer_file_re_includes_keeps_the_rules_above(repository):
    grow(repository, {".gitignore": "out/\n*.key\n", "pkg/.gitignore": "!out/\n"})
    grow(repository, ["pkg/out/prod.key", "pkg/out/a.md", "out/b.md"])

    assert names(repository) == ["pkg/out/a.md"]
    assert names(repository / "pkg") == ["out/a.md"]
    assert names(repository / "pkg" / "out") == ["a.md"]
    assert reasons(repository / "pkg" / "out") == {"prod.key": "ignored (.gitignore)"}


def test_only_the_lines_that_ignore_a_named_root_are_dropped(repository):
    grow(
        repository, {".gitignore": "build/\n*.key\n/other/**\n", "build/docs/.gitignore": "*.log\n"}
    )
    grow(repository, ["build/docs/a.md", "build/docs/b.log", "build/docs/c.key", "build/d.md"])

    assert names(repository / "build" / "docs") == ["a.md"]
    assert names(repository / "build") == ["d.md", "docs/a.md"]


@pytest.mark.parametrize("seed", range(6))
def test_any_folder_below_has_what_the_whole_has(tmp_path, seed, own_home):
    """Of a folder that git does not ignore, the same files are found whichever root is walked."""
    choice = random.Random(seed)
    folder = new_repository(tmp_path / "repository")
    for _ in range(30):
        grow(
            folder,
            ["/".join(choice.choices("abc", k=choice.randint(1, 3))) + "/f" + choice.choice("xy")],
        )
    for _ in range(15):
        rules = {
            where: "\n".join(
                choice.choices(["a/", "!a/", "b", "!b", "fx", "!fx", "/a/*", "!c/"], k=3)
            )
            for where in choice.sample(["", "a/", "b/", "a/b/", "c/"], k=3)
            if (folder / where).is_dir()
        }
        grow(folder, {f"{where}.gitignore": lines for where, lines in rules.items()})
        everything = walked(folder)
        for below in {name.rpartition(b"/")[0] for name in everything} - {b""}:
            expected = {
                n.removeprefix(below + b"/") for n in everything if n.startswith(below + b"/")
            }
            assert walked(folder / os.fsdecode(below)) == expected
        for where in rules:
            (folder / f"{where}.gitignore").unlink()


def test_a_root_that_is_a_link_has_the_rules_of_where_it_is(repository, tmp_path):
    grow(repository, {".gitignore": "*.log\n", "sub/a.log": "x", "sub/b.md": "x"})
    (tmp_path / "link").symlink_to(repository / "sub")

    assert names(tmp_path / "link") == ["b.md"]


# Other sources


def test_the_users_default_file_is_read_in_repositories(repository, own_home, tmp_path):
    grow(own_home / "config" / "git", {"ignore": "*.log\n"})
    grow(repository, ["a.log", "b.md"])
    grow(tmp_path / "plain", ["a.log"])

    assert same_as_git(repository) == ["b.md"]
    assert reasons(repository)["a.log"] == "ignored (core.excludesFile)"
    assert names(tmp_path / "plain") == ["a.log"]


def test_the_users_default_file_is_below_home_without_a_variable(repository, own_home, monkeypatch):
    monkeypatch.delenv("XDG_CONFIG_HOME")
    grow(own_home / ".config" / "git", {"ignore": "*.log\n"})
    grow(repository, ["a.log", "b.md"])

    assert same_as_git(repository) == ["b.md"]


CONFIGURATIONS = {
    "home": {".gitconfig": "[core]\n\texcludesFile = ~/mine\n"},
    "folder": {"config/git/config": "[core]\nexcludesfile=~/mine"},
    "home wins": {
        "config/git/config": "[core]\nexcludesfile=~/other",
        ".gitconfig": '[CORE] EXCLUDESFILE = "~/mine" ; why\n',
    },
    "quotes and comments": {".gitconfig": '[core]\nexcludesFile = ~/m"in"e # [core]\n'},
    "a continued line": {".gitconfig": "[core]\nexcludesFile = ~/\\\nmine\n"},
    "windows line ends": {".gitconfig": "[core]\r\n\texcludesFile = ~/mine\r\n"},
    "an include": {
        ".gitconfig": "[include]\npath = deeper/more\n",
        "deeper/more": "[include]\npath = most\n",
        "deeper/most": "[core]\nexcludesFile = ~/mine\n",
    },
    "an include of itself": {
        ".gitconfig": "[core]\nexcludesFile = ~/mine\n[include]\npath = .gitnone\n",
    },
    "by folder": {
        ".gitconfig": '[includeIf "gitdir:repository/"]\npath = more\n',
        "more": "[core]\nexcludesFile = ~/mine\n",
    },
    "by folder, any case": {
        ".gitconfig": '[includeIf "gitdir/i:**/REPOSITORY/.GIT"]\npath = more\n',
        "more": "[core]\nexcludesFile = ~/mine\n",
    },
    "by branch": {
        ".gitconfig": '[init]\ndefaultBranch=x\n[includeIf "onbranch:ma*"]\npath = more\n',
        "more": "[core]\nexcludesFile = ~/mine\n",
    },
    "not by another folder": {
        ".gitconfig": '[includeIf "gitdir:elsewhere/"]\npath = more\n',
        "more": "[core]\nexcludesFile = ~/mine\n",
    },
    "not in a subsection": {".gitconfig": '[core "x"]\nexcludesFile = ~/mine\n'},
    "none": {".gitconfig": "[core]\nexcludesFile =\n", "config/git/ignore": "*.log\n"},
    "of the repository": {"config/git/ignore": "b.md\n"},
}  # fmt: skip


@pytest.mark.parametrize("files", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_the_users_file_is_the_one_that_git_finds(tmp_path, own_home, files):
    repository = tmp_path / "repository"
    repository.mkdir()
    run_git(repository, "init", "-q", "-b", "main")
    grow(own_home, {"mine": "*.log\n", "other": "b.md\n"})
    grow(own_home, files)
    grow(repository, ["a.log", "b.md"])
    same_as_git(repository)
    run_git(repository, "config", "core.excludesFile", "named")
    grow(repository, {"named": "a.log\n"})

    assert "a.log" not in same_as_git(repository)


def test_a_worktrees_own_configuration_is_read(repository):
    with_commit(repository)
    run_git(repository, "config", "extensions.worktreeConfig", "true")
    run_git(repository, "config", "--worktree", "core.excludesFile", ".mine")
    grow(repository, {".mine": "*.log\n", "a.log": "x", "b.md": "x"})

    assert same_as_git(repository) == [".mine", "b.md"]


def test_the_exclude_file_of_a_linked_worktree_is_that_of_its_repository(repository, tmp_path):
    with_commit(repository)
    run_git(repository, "worktree", "add", "-q", tmp_path / "linked")
    grow(repository, {".git/info/exclude": "*.log\n/sub/deep\n"})
    grow(tmp_path / "linked", ["a.log", "sub/a.log", "sub/b.md", "sub/deep/c.md"])

    assert same_as_git(tmp_path / "linked") == ["sub/b.md"]
    assert names(tmp_path / "linked" / "sub") == ["b.md"]


def test_rules_end_where_another_repository_begins(repository, own_home):
    grow(own_home / "config" / "git", {"ignore": "user.md\n"})
    inner = new_repository(repository / "lib" / "inner")
    grow(repository, {".gitignore": "*.log\ninner.md\n", ".git/info/exclude": "c.md\n"})
    grow(repository, {".localembedignore": "ours.md\n"})
    grow(inner, {".git/info/exclude": "d.md\n", "sub/.gitignore": "!d.md\n"})
    grow(inner, ["a.log", "c.md", "d.md", "sub/d.md", "inner.md", "user.md", "ours.md"])
    grow(repository, ["lib/a.log", "lib/c.md", "lib/d.md"])

    kept = ["a.log", "c.md", "inner.md", "sub/d.md"]
    assert names(inner) == [*kept[:3], "ours.md", "sub/d.md"]
    assert names(repository) == ["lib/d.md", *(f"lib/inner/{name}" for name in kept)]
    assert names(repository, "lib/inner/sub") == names(repository, "lib/inner/sub/d.md")
    assert names(repository / "lib") == [n.removeprefix("lib/") for n in names(repository)]


def test_an_ignored_repository_is_ignored(repository):
    grow(new_repository(repository / "inner"), ["a.md"])
    grow(repository, {".gitignore": "inner\n"})

    assert names(repository) == []


def test_rules_end_where_a_submodule_begins(repository, tmp_path):
    source = with_commit(new_repository(tmp_path / "source"))
    allowed = ("-c", "protocol.file.allow=always")
    run_git(repository, *allowed, "submodule", "add", "-q", source, "module")
    grow(repository, {".gitignore": "*.md\n", "module/a.md": "x", "module/b.txt": "x"})
    grow(repository, {".git/modules/module/info/exclude": "b.txt\n"})

    assert same_as_git(repository / "module") == ["a.md"]
    assert names(repository) == ["module/a.md"]


@pytest.mark.parametrize("content", [None, "", "gitdir: nowhere\n", "gitdir: \0\n", "nonsense"])
def test_what_is_no_repository_ends_no_rules(repository, content):
    grow(repository, {".gitignore": "*.log\n", "sub/a.log": "x", "sub/b.md": "x"})
    if content is None:
        (repository / "sub" / ".git").mkdir()
    else:
        (repository / "sub" / ".git").write_text(content)

    assert names(repository) == ["sub/b.md"]
    assert names(repository / "sub") == ["b.md"]


# Files that came with a repository


@pytest.mark.timeout(10)
@pytest.mark.parametrize("place", ["info/exclude", "config", "HEAD", "commondir"])
def test_no_file_of_a_repository_makes_a_walk_wait(repository, place):
    grow(repository, ["a.md"])
    (repository / ".git" / place).unlink(missing_ok=True)
    os.mkfifo(repository / ".git" / place)

    assert names(repository) == ["a.md"]


@pytest.mark.timeout(10)
@pytest.mark.parametrize("target", ["/dev/zero", "/dev/stdin", "fifo", ".", "a\\u0000b"])
def test_no_file_that_a_repository_names_makes_a_walk_wait(repository, target):
    os.mkfifo(repository / "fifo")
    grow(repository, ["a.md"])
    lines = f"[core]\nexcludesFile = {target}\n[include]\npath = {repository / target}\n"
    (repository / ".git" / "config").write_text(lines.replace("\\u0000", "\0"))

    assert names(repository) == ["a.md"]


@pytest.mark.timeout(10)
def test_includes_end(repository):
    grow(repository, ["a.md", "b.log"])
    include = "[include]\npath = config\n" * 50
    (repository / ".git" / "config").write_text(f"[core]\nexcludesFile = x\n{include}")
    grow(repository, {"x": "*.log\n"})

    assert names(repository) == ["a.md", "x"]


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "text",
    ["[core]\nexcludesFile = " + "\\\n" * 400_000, '[a "' + "\\x" * 400_000, '[c]\na = "' * 99_999],
)
def test_no_configuration_is_slow(repository, text):
    grow(repository, ["a.md"])
    (repository / ".git" / "config").write_text(text)

    assert names(repository) == ["a.md"]


def test_an_exclude_file_beyond_any_size_takes_nothing_and_says_so(repository):
    grow(repository, {".git/info/exclude": "x\n" * 5_000, "a.md": "x"})

    assert reasons(repository)["a.md"] == "ignored (.git/info/exclude has more than 4,000 lines)"


@pytest.mark.timeout(20)
def test_thousands_of_lines_are_not_slow_with_a_deep_path():
    lines = parse_lines(f"**/a*/b{number}" for number in range(2_000))
    rules = IgnoreFile.of("many", lines, rank=Rank.FOLDER)
    for path in (b"a/" * 2_000 + b"b", b"a" * 4_000, b"aaab/" * 800 + b"y"):
        assert rules.verdict(rule_path(path)) is None
