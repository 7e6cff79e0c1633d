"""What a walk sees of a folder, compared with git where git has an opinion, and reading a file."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from localembed.core import hashing
from localembed.errors import ReadError
from localembed.sources import WalkRules, open_file, read_file, walk
from localembed.types.documents import Root

RULES = WalkRules(max_file_bytes=1000)
NOBODY = 65534


def root_of(path, **options) -> Root:
    return Root("r", os.fsencode(path), **options)


def names(path, scope: str = "", **options) -> list[str]:
    """Return the relative paths of the files that a walk finds."""
    found = walk(root_of(path, **options), RULES, os.fsencode(scope))
    return [os.fsdecode(file.path) for file in found.files]


def reasons(path, scope: str = "", **options) -> dict[str, str]:
    """Return why entries were skipped, by their path relative to `path`."""
    found = walk(root_of(path, **options), RULES, os.fsencode(scope))
    top = os.fsencode(path) + b"/"
    return {os.fsdecode(note.path.removeprefix(top)): note.reason for note in found.skipped}


def grow(folder: Path, files: dict[str, str] | list[str]) -> Path:
    """Write files below a folder; a list means that what they say does not matter."""
    for name in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files[name] if isinstance(files, dict) else "text")
    return folder


def git(folder: Path, *arguments: str) -> bytes:
    # HOME is the test's own (conftest), so no excludes file of the user's takes part.
    environment = {**os.environ, "GIT_CONFIG_NOSYSTEM": "1", "GIT_CEILING_DIRECTORIES": ""}
    return subprocess.run(
        ["git", "-C", folder, *arguments], env=environment, capture_output=True, check=True
    ).stdout


def git_names(folder: Path) -> list[str]:
    """Return the files that git would let one add, without hidden ones."""
    listed = git(folder, "ls-files", "-z", "-co", "--exclude-standard").split(b"\0")
    found = {os.fsdecode(name) for name in listed if name}
    return sorted(name for name in found if not any(p[0] == "." for p in name.split("/")))


@pytest.fixture
def repository(tmp_path):
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "-q")
    return folder


@pytest.fixture
def powerless():
    """A folder in which permissions hold, even when the tests are run by root."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if os.geteuid() != 0:
            yield folder
            return
        os.chown(folder, NOBODY, NOBODY)
        os.seteuid(NOBODY)
        try:
            yield folder
        finally:
            os.seteuid(0)


@contextmanager
def mode(path: Path, bits: int):
    """Change the permissions of a path for a while."""
    path.chmod(bits)
    try:
        yield
    finally:
        path.chmod(0o700)


# The same as git

TREE = ["a.log", "b.md", "keep/a.log", "keep/b.md", "sub/a.log", "sub/keep/c.log", "sub/deep/b.md"]
IGNORES = {
    "a name": {".gitignore": "a.log\n"},
    "a suffix": {".gitignore": "*.log\n"},
    "a folder": {".gitignore": "keep/\n"},
    "anchored": {".gitignore": "/keep\n/a.log\n"},
    "anchored in the middle": {".gitignore": "sub/keep\n"},
    "two stars in front": {".gitignore": "**/keep\n"},
    "two stars behind": {".gitignore": "sub/**\n"},
    "two stars between": {".gitignore": "sub/**/c.log\n"},
    "taken back": {".gitignore": "*.log\n!a.log\n"},
    "not below an ignored folder": {".gitignore": "sub/\n!sub/a.log\n"},
    "all but one": {".gitignore": "/*\n!/sub\n/sub/*\n!/sub/keep\n"},
    "all but a suffix": {".gitignore": "*\n!*/\n!*.md\n"},
    "a folder taken back leaves files alone": {".gitignore": "*.log\n!keep/\n"},
    "a name taken back leaves files alone": {".gitignore": "*.log\n!keep\n"},
    "nested": {"sub/.gitignore": "a.log\n"},
    "nested and anchored": {"sub/.gitignore": "/keep\n"},
    "nested takes back": {".gitignore": "*.log\n", "sub/.gitignore": "!a.log\n"},
    "nested takes a folder back": {".gitignore": "*.log\n", "sub/.gitignore": "!keep/\n"},
    "nested takes a name back": {".gitignore": "*.log\n", "sub/.gitignore": "!keep\n"},
    "nested takes all back": {".gitignore": "*.log\n", "sub/.gitignore": "!*\n"},
    "comment, blank and spaces": {".gitignore": "# a.log\n\n   \na.log   \n"},
    "escapes": {".gitignore": "\\!x\n\\#y\na\\.log\n"},
    "windows line ends": {".gitignore": "*.log\r\nkeep/\r\n"},
    "byte order mark": {".gitignore": "\ufeffa.log\nb.md\n"},
    "a form feed is no line end": {".gitignore": "x\fa.log\n"},
    "a separator is no line end": {".gitignore": "x\u2028a.log\ny\x85b.md\n"},
    "classes": {".gitignore": "[a-c].log\n[!x].md\n"},
    "a lone exclamation mark": {".gitignore": "!\na.log\n"},
    "a lone backslash": {".gitignore": "a.log\n\\\n"},
    "a backslash at the end": {".gitignore": "b\\\na.log\n"},
    "a range the wrong way round": {".gitignore": "[z-a]\na.log\n"},
    "an unfinished class": {".gitignore": "[\na.log\n"},
    "a posix class": {".gitignore": "[[:alpha:]].log\n"},
    "a bracket in a class": {".gitignore": "[[a].log\n"},
    "a lone slash": {".gitignore": "/\na.log\n"},
    "no line end at the end": {".gitignore": "a.log"},
    "exclude file": {".git/info/exclude": "a.log\n"},
}


@pytest.mark.parametrize("files", IGNORES.values(), ids=IGNORES)
def test_walk_sees_what_git_sees_when_files_are_ignored(repository, files):
    grow(repository, TREE)
    grow(repository, files)

    assert sorted(names(repository)) == git_names(repository)


part = st.sampled_from(["a", "b", "ab", "*", "a*", "*b", "?", "[ab]", "**", "a?"])
patterns = st.builds(
    lambda back, anchor, parts, folder: back + anchor + "/".join(parts) + folder,
    st.sampled_from(["", "", "!"]),
    st.sampled_from(["", "", "/"]),
    st.lists(part, min_size=1, max_size=3),
    st.sampled_from(["", "", "/"]),
)
folders = st.sampled_from(["", "a/", "b/", "a/a/", "a/b/"])
trees = st.lists(
    st.lists(st.sampled_from(["a", "b", "ab"]), min_size=1, max_size=4), min_size=1, max_size=8
)


@given(
    tree=trees,
    ignores=st.dictionaries(folders, st.lists(patterns, min_size=1, max_size=4), max_size=3),
)
@example(tree=[["a", "b"]], ignores={"": ["b", "!a/"]})
def test_walk_sees_what_git_sees_in_any_tree(tree, ignores):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        git(folder, "init", "-q")
        for parts in tree:
            grow(folder, ["/".join(f"{part}{depth}" for depth, part in enumerate(parts)) + ".md"])
            grow(folder, ["/".join([*parts, "file"])])
        for where, lines in ignores.items():
            grow(folder, {f"{where}.gitignore": "\n".join(lines)})

        assert sorted(names(folder)) == git_names(folder)


@pytest.mark.parametrize(
    "name",
    ["line\nbreak", "a.log\n", 'quote"s', "tick's", "back\\slash", "tab\t", " space ", "ünï"],
)
def test_odd_names_are_judged_as_git_does(repository, name):
    grow(repository, {".gitignore": "a.log\nignored/\n*.tmp\n"})
    grow(repository, [name, f"{name}.md", f"{name}.tmp", f"{name}x/inner.md", f"{name}x/a.log"])

    assert sorted(names(repository)) == git_names(repository)


def test_a_subfolder_honours_the_rules_above_it(repository):
    grow(repository, TREE)
    grow(repository, {".gitignore": "*.log\n/sub/deep\n"})

    assert names(repository / "sub") == []
    assert names(repository / "keep") == ["b.md"]
    assert names(repository, "keep") == ["keep/b.md"]


def test_a_root_inside_an_ignored_folder_is_walked(repository):
    grow(repository, ["build/docs/a.md", "build/docs/b.log"])
    grow(repository, {".gitignore": "build/\n", "build/docs/.gitignore": "*.log\n"})

    assert names(repository / "build" / "docs") == ["a.md"]
    assert names(repository / "build") == ["docs/a.md"]
    assert names(repository) == []


def test_the_rules_above_hold_in_a_linked_worktree(repository, tmp_path):
    git(
        repository, "-c", "user.name=x", "-c", "user.email=x", "commit", "-qm", "x", "--allow-empty"
    )
    linked = tmp_path / "linked"
    git(repository, "worktree", "add", "-q", str(linked))
    grow(linked, {".gitignore": "*.log\n", "sub/a.log": "x", "sub/b.md": "x"})

    assert names(linked / "sub") == ["b.md"]


# Our own rules


def test_our_ignore_file_wins_over_gits(tmp_path):
    grow(tmp_path, ["a.log", "b.md", "c.md"])
    grow(tmp_path, {".gitignore": "*.log\n", ".localembedignore": "!a.log\nb.md\n"})

    assert names(tmp_path) == ["a.log", "c.md"]
    assert reasons(tmp_path)["b.md"] == "ignored (.localembedignore)"


def test_ignore_files_hold_without_a_repository(tmp_path):
    grow(tmp_path, {".gitignore": "a.md\n", "a.md": "x", "b.md": "x"})

    assert names(tmp_path) == ["b.md"]


def test_hidden_entries_are_found_only_when_wanted(tmp_path):
    grow(tmp_path, [".profile", ".config/a.md", "b.md", ".git/HEAD", "x/.localembed/c", ".hg/d"])

    assert names(tmp_path) == ["b.md"]
    assert reasons(tmp_path)[".config/"] == "hidden"
    assert names(tmp_path, hidden=True) == [".profile", "b.md", ".config/a.md"]


def test_version_control_is_never_walked_with_every_option_on(tmp_path):
    grow(tmp_path, [".git/a.md", ".localembed/b.md", "x/.svn/c.md", "d.md"])

    assert names(tmp_path, hidden=True, no_ignore=True, include=("**",)) == ["d.md"]


def test_no_ignore_brings_everything_in(tmp_path):
    grow(
        tmp_path, {".gitignore": "a.md\n", ".localembedignore": "b.md\n", "a.md": "x", "b.md": "x"}
    )
    grow(tmp_path, ["node_modules/c.js", "uv.lock", "env/pyvenv.cfg", "env/d.py"])

    assert names(tmp_path) == []
    assert sorted(names(tmp_path, no_ignore=True)) == [
        *("a.md", "b.md", "env/d.py", "env/pyvenv.cfg", "node_modules/c.js", "uv.lock")
    ]


def test_include_keeps_only_what_matches_and_exclude_wins(tmp_path):
    grow(tmp_path, ["a.md", "b.txt", "sub/c.md", "sub/d.txt", "drafts/e.md"])

    assert names(tmp_path, include=("*.md",)) == ["a.md", "drafts/e.md", "sub/c.md"]
    assert names(tmp_path, include=("*.md",), exclude=("drafts/",)) == ["a.md", "sub/c.md"]
    assert names(tmp_path, include=("sub/",)) == ["sub/c.md", "sub/d.txt"]


def test_exclude_holds_when_ignore_files_take_back_or_are_off(tmp_path):
    grow(tmp_path, {".localembedignore": "!a.md\n", "a.md": "x", "b.md": "x"})

    assert names(tmp_path, exclude=("a.md",)) == ["b.md"]
    assert names(tmp_path, exclude=("a.md",), no_ignore=True) == ["b.md"]


def test_generated_files_are_left_out_unless_taken_back(tmp_path):
    grow(tmp_path, ["app.min.js", "uv.lock", "node_modules/x.md", "app.js"])
    assert names(tmp_path) == ["app.js"]

    grow(tmp_path, {".localembedignore": "!uv.lock\n"})
    assert names(tmp_path) == ["app.js", "uv.lock"]


def test_environments_and_tagged_caches_are_left_out(tmp_path):
    grow(tmp_path, ["env/pyvenv.cfg", "env/a.py", "cache/b.md", "other/CACHEDIR.TAG", "other/c.md"])
    grow(tmp_path, {"cache/CACHEDIR.TAG": "Signature: 8a477f597d28d172789f06886806bc55\n# made"})

    assert names(tmp_path) == ["other/CACHEDIR.TAG", "other/c.md"]
    assert reasons(tmp_path) == {
        "cache/": "ignored (cache folder)",
        "env/": "ignored (Python environment)",
    }


# What is never followed or opened


def test_no_symbolic_link_is_followed(tmp_path):
    grow(tmp_path, ["outside/secret.md", "root/a.md"])
    root = tmp_path / "root"
    (root / "file").symlink_to(tmp_path / "outside" / "secret.md")
    (root / "folder").symlink_to(tmp_path / "outside")
    (root / "loop").symlink_to(root)
    (root / "broken").symlink_to("nowhere")

    assert names(root) == ["a.md"]
    assert reasons(root) == dict.fromkeys(["broken", "file", "folder", "loop"], "symbolic link")


def test_a_root_that_is_a_link_is_walked(tmp_path):
    grow(tmp_path, ["real/a.md"])
    (tmp_path / "link").symlink_to("real")

    assert names(tmp_path / "link") == ["a.md"]


@pytest.mark.parametrize("scope", ["link", "link/secret.md", "file"])
def test_no_symbolic_link_is_followed_when_it_lies_in_the_scope(tmp_path, scope):
    grow(tmp_path, ["outside/secret.md", "root/a.md"])
    (tmp_path / "root" / "link").symlink_to(tmp_path / "outside")
    (tmp_path / "root" / "file").symlink_to(tmp_path / "outside" / "secret.md")

    assert names(tmp_path / "root", scope) == []


@pytest.mark.timeout(20)
def test_nothing_but_files_is_opened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    grow(tmp_path, ["a.md"])
    os.mkfifo(tmp_path / "pipe.md")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.md")

        assert names(tmp_path) == ["a.md"]
        assert reasons(tmp_path) == {"pipe.md": "FIFO", "socket.md": "socket"}
        for name in ("pipe.md", "socket.md"):
            with pytest.raises(ReadError):
                read_file(os.fsencode(tmp_path / name))


@pytest.mark.timeout(3)
@pytest.mark.parametrize("name", [".gitignore", ".localembedignore", "CACHEDIR.TAG"])
def test_a_rules_file_is_not_opened_when_it_is_a_pipe(tmp_path, name):
    grow(tmp_path, ["sub/a.md"])
    os.mkfifo(tmp_path / "sub" / name)

    assert names(tmp_path) == ["sub/a.md"]


@pytest.mark.parametrize("name", [".gitignore", ".localembedignore", "CACHEDIR.TAG"])
def test_a_rules_file_that_is_a_folder_says_nothing(tmp_path, name):
    grow(tmp_path, [f"sub/{name}/x", "sub/a.md"])

    assert "sub/a.md" in names(tmp_path)


# Odd trees


def test_names_that_are_no_utf8_come_through(tmp_path):
    folder = os.fsencode(tmp_path) + b"/fo\xff"
    Path(os.fsdecode(folder)).mkdir()
    Path(os.fsdecode(folder + b"/\xe9.md")).write_text("x")
    Path(os.fsdecode(folder + b"/\xe9.log")).write_text("x")
    grow(tmp_path, {".gitignore": "*.log\n"})
    (file,) = walk(root_of(tmp_path), RULES).files

    assert file.path == b"fo\xff/\xe9.md"
    assert read_file(file.absolute).data == b"x"


def test_a_pattern_that_is_no_utf8_matches_its_bytes(tmp_path):
    (tmp_path / ".gitignore").write_bytes(b"\xe9.md\n")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xe9.md")).write_text("x")

    assert names(tmp_path) == []


def test_deep_nesting_is_walked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(500):
        Path("d").mkdir()
        os.chdir("d")
    Path("leaf.md").write_text("x")
    os.chdir(tmp_path)

    assert names(tmp_path) == ["d/" * 500 + "leaf.md"]


def test_files_come_in_the_order_of_names_with_their_stat(tmp_path):
    grow(tmp_path, ["b.md", "a/z.md", "a/b/c.md", "c.md", "B.md"])
    found = walk(root_of(tmp_path), RULES)

    assert [file.path for file in found.files] == [
        *(b"B.md", b"b.md", b"c.md", b"a/z.md", b"a/b/c.md")
    ]
    for file in found.files:
        stat = os.lstat(file.absolute)
        assert file.stat.size == stat.st_size == 4
        assert (file.stat.mtime_ns, file.stat.inode) == (stat.st_mtime_ns, stat.st_ino)
        assert file.doc_id == hashing.document_id("r", file.path)


def test_empty_and_large_files_are_skipped_with_a_reason(tmp_path):
    (tmp_path / "empty.md").touch()
    (tmp_path / "fits.md").write_bytes(b"x" * 1000)
    (tmp_path / "large.md").write_bytes(b"x" * 1001)

    assert names(tmp_path) == ["fits.md"]
    found = reasons(tmp_path)
    assert found["empty.md"] == "empty"
    assert found["large.md"].startswith("over-size (")


def test_a_single_file_is_a_root_of_its_own(tmp_path):
    grow(tmp_path, {".gitignore": "a.md\n", "a.md": "x"})
    (file,) = walk(root_of(tmp_path / "a.md"), RULES).files

    assert (file.path, file.absolute) == (b"", os.fsencode(tmp_path / "a.md"))


def test_a_scope_honours_the_rules_above_it(tmp_path):
    grow(tmp_path, {".gitignore": "*.log\n/sub/deep/\n", "sub/.gitignore": "x.md\n"})
    grow(tmp_path, ["sub/x.md", "sub/a.md", "sub/a.log", "sub/deep/b.md", "other/c.md"])

    assert names(tmp_path, "sub") == ["sub/a.md"]
    assert names(tmp_path, "sub/a.md") == ["sub/a.md"]
    assert names(tmp_path, "sub/x.md") == names(tmp_path, "sub/deep") == []
    assert reasons(tmp_path, "sub/a.log") == {"sub/a.log": "ignored (.gitignore)"}
    assert names(tmp_path, "sub/a.md", include=("*.txt",)) == []


def test_a_scope_below_an_environment_is_left_out_like_the_whole(tmp_path):
    grow(tmp_path, ["env/pyvenv.cfg", "env/lib/a.py"])

    assert names(tmp_path) == names(tmp_path, "env") == names(tmp_path, "env/lib") == []


@pytest.mark.parametrize("scope", [b"", b"gone", b"gone/deep"])
def test_what_is_not_there_is_missing(tmp_path, scope):
    root = root_of(tmp_path / "nowhere" if not scope else tmp_path)

    assert walk(root, RULES, scope).missing


# Permissions


def test_a_folder_that_cannot_be_listed_is_a_failure_and_not_empty(powerless):
    grow(powerless, ["closed/a.md", "open/b.md"])
    with mode(powerless / "closed", 0o000):
        found = walk(root_of(powerless), RULES)

    assert [file.path for file in found.files] == [b"open/b.md"]
    assert [note.reason for note in found.failures] == ["cannot be listed: Permission denied"]
    assert not found.covers(b"closed/a.md")
    assert found.covers(b"open/gone.md")


def test_a_file_that_cannot_be_examined_is_a_failure_and_not_gone(powerless):
    grow(powerless, ["listed/a.md", "b.md"])
    with mode(powerless / "listed", 0o400):
        found = walk(root_of(powerless), RULES)

    assert len(found.failures) == 1
    assert not found.covers(b"listed/a.md")


def test_a_root_that_cannot_be_listed_is_missing(powerless):
    grow(powerless, ["top/a.md"])
    with mode(powerless / "top", 0o000):
        assert walk(root_of(powerless / "top"), RULES).missing


def test_a_file_that_cannot_be_opened_is_a_read_error(powerless):
    grow(powerless, ["a.md"])
    with (
        mode(powerless / "a.md", 0o000),
        pytest.raises(ReadError, match="cannot be read: Permission denied"),
    ):
        read_file(os.fsencode(powerless / "a.md"))


# Reading


def test_what_was_read_belongs_to_its_stat(tmp_path):
    path = grow(tmp_path, ["a.md"]) / "a.md"
    content = read_file(os.fsencode(path))

    assert content.data == b"text"
    assert content.content_hash == hashing.digest(b"text")
    assert content.stat.mtime_ns == path.stat().st_mtime_ns
    assert content.observed_ns >= content.stat.ctime_ns


def test_a_file_that_keeps_changing_is_a_read_error(tmp_path):
    path = tmp_path / "growing.md"
    path.touch()
    os.truncate(path, 100_000_000)  # sparse: long to read, and nothing on the disk
    append = (
        "import sys\nwith open(sys.argv[1], 'ab', 0) as file:\n    while True: file.write(b'y')"
    )
    with subprocess.Popen([sys.executable, "-c", append, path]) as writer:
        try:
            while path.stat().st_size == 100_000_000:
                pass
            with pytest.raises(ReadError, match="changed while it was read"):
                read_file(os.fsencode(path))
        finally:
            writer.kill()

    assert read_file(os.fsencode(path)).stat.size == path.stat().st_size


def test_a_file_that_vanished_is_a_read_error(tmp_path):
    with pytest.raises(ReadError, match="cannot be read: No such file"):
        read_file(os.fsencode(tmp_path / "gone.md"))


def test_a_link_that_took_a_files_place_is_a_read_error(tmp_path):
    grow(tmp_path, ["secret.md", "a.md"])
    (tmp_path / "a.md").unlink()
    (tmp_path / "a.md").symlink_to("secret.md")

    with pytest.raises(ReadError, match="such as a link now"):
        read_file(os.fsencode(tmp_path / "a.md"))


@pytest.mark.timeout(10)
@pytest.mark.parametrize("depth", [0, 1, 2, 3])
@pytest.mark.parametrize("what", ["link", "relative link", "FIFO", "device", "file"])
def test_nothing_that_took_a_folders_or_files_place_is_followed(tmp_path, depth, what):
    root = grow(tmp_path / "root", {"a/b/c/d.md": "inside"})
    outside = grow(tmp_path / "outside", {"a/b/c/d.md": "a secret"})
    parts = ("a", "b", "c", "d.md")[: depth + 1]
    place = root.joinpath(*parts)
    place.rename(tmp_path / "old")
    if what == "link":
        place.symlink_to(outside.joinpath(*parts))
    elif what == "relative link":
        place.symlink_to(os.path.relpath(outside.joinpath(*parts), place.parent))
    elif what == "FIFO":
        os.mkfifo(place)
    elif what == "device":
        place.symlink_to("/dev/zero")
    elif depth < 3:
        place.write_text("a file")
    else:
        place.mkdir()

    with pytest.raises(ReadError, match=r"no longer|cannot be read"):
        read_file(os.fsencode(root), b"a/b/c/d.md")


def test_a_root_that_is_a_link_is_read(tmp_path):
    grow(tmp_path / "real", {"sub/a.md": "inside"})
    (tmp_path / "link").symlink_to("real")

    assert read_file(os.fsencode(tmp_path / "link"), b"sub/a.md").data == b"inside"


def test_no_descriptor_is_left_open(tmp_path):
    grow(tmp_path, {"a/b/c.md": "inside"})
    (tmp_path / "a" / "link").symlink_to("b")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(10):
        read_file(os.fsencode(tmp_path), b"a/b/c.md")
        for path in (b"a/link/c.md", b"a/no/c.md", b"a/b/no.md"):
            with pytest.raises(ReadError):
                read_file(os.fsencode(tmp_path), path)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_without_descriptors_of_folders_no_link_is_followed_either(tmp_path, monkeypatch):
    monkeypatch.setattr(open_file, "_HAS_DESCRIPTORS", False)
    grow(tmp_path, {"a/b/c.md": "inside"})
    (tmp_path / "a" / "link").symlink_to("b")

    assert read_file(os.fsencode(tmp_path), b"a/b/c.md").data == b"inside"
    with pytest.raises(ReadError, match="such as a link now"):
        read_file(os.fsencode(tmp_path), b"a/link/c.md")


def test_a_folder_that_took_a_files_place_is_a_read_error(tmp_path):
    (tmp_path / "a.md").mkdir()

    with pytest.raises(ReadError):
        read_file(os.fsencode(tmp_path / "a.md"))


def test_a_walk_survives_when_a_folder_goes_away(tmp_path):
    grow(tmp_path, ["a/x.md", "b/y.md"])
    stop = threading.Event()

    def churn() -> None:
        while not stop.is_set():
            shutil.rmtree(tmp_path / "b", ignore_errors=True)
            grow(tmp_path, ["b/y.md"])

    writer = threading.Thread(target=churn)
    writer.start()
    try:
        for _ in range(200):
            found = walk(root_of(tmp_path), RULES)
            assert (found.missing, found.failures) == (False, [])
            assert b"a/x.md" in [file.path for file in found.files]
    finally:
        stop.set()
        writer.join()
