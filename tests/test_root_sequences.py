"""Random sequences of index, move, copy, rm and edits of config.toml keep what queries show true.

After every step each hit belongs to a known root, lies below it, and is shown once; after a run
without a refusal the hits are exactly the files on disk.
"""

from __future__ import annotations

import os
import re
import shutil
from itertools import count
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import localembed
from localembed.checkup import doctor
from localembed.errors import NotIndexedError, UsageError
from localembed.workspace.workspace import Workspace

FOLDERS = ("project/a", "project/a/deep", "project/b", "outside/c", "outside/d")
STEPS = st.one_of(
    st.tuples(st.just("index"), st.sampled_from((*FOLDERS, "project", "outside"))),
    st.tuples(st.just("refresh"), st.none()),
    st.tuples(st.just("rm file"), st.sampled_from(FOLDERS)),
    st.tuples(st.just("rm root"), st.integers(0, 3)),
    st.tuples(st.just("move project"), st.none()),
    st.tuples(st.just("copy project"), st.none()),
    st.tuples(st.just("move root"), st.integers(0, 3)),
    st.tuples(st.just("edit out"), st.integers(0, 3)),
    st.tuples(st.just("lose config"), st.none()),
    st.tuples(st.just("repair"), st.none()),
    st.tuples(st.just("new file"), st.sampled_from(FOLDERS)),
    st.tuples(st.just("restore"), st.none()),
)


class World:
    """A project with a workspace, and folders beside it."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.project = top / "project"
        self.numbers = count()
        for folder in FOLDERS:
            (top / folder).mkdir(parents=True)
            for _ in range(2):
                self.write(top / folder)
        self.workspace = localembed.open(self.project)
        self.workspace.index([self.project / "a"])

    def write(self, folder: Path) -> None:
        number = next(self.numbers)
        folder.mkdir(parents=True, exist_ok=True)  # a root may have moved away
        (folder / f"{number}.md").write_text(f"Common words and number{number}.")

    def place(self, name: str) -> Path:
        """Return where a folder is now; the project may have moved."""
        first, _, rest = name.partition("/")
        top = self.project if first == "project" else self.top / first
        return top / rest if rest else top

    def root(self, number: int) -> Path | None:
        roots = self.workspace.roots
        return Path(os.fsdecode(roots[number % len(roots)].path)) if roots else None

    def check_run(self) -> None:
        """Refresh all roots, and compare what is shown with the files on disk."""
        try:
            report = self.workspace.index()
        except UsageError:
            return  # no root
        if not report.refused:
            assert shown(self.workspace) == on_disk(self.workspace)

    def do(self, name: str, value) -> None:
        try:
            getattr(self, name.replace(" ", "_"))(value)
        except (UsageError, NotIndexedError):
            return  # refused with a sentence, and nothing changed

    def index(self, folder: str) -> None:
        self.workspace.index([self.place(folder)])

    def refresh(self, _: None) -> None:
        self.check_run()

    def rm_file(self, folder: str) -> None:
        files = sorted(self.place(folder).glob("*.md"))
        if files:
            self.workspace.remove(files[0])

    def rm_root(self, number: int) -> None:
        root = self.root(number)
        if root is not None:
            self.workspace.remove(root)

    def move_project(self, _: None) -> None:
        self.project = self.project.rename(self.top / f"project{next(self.numbers)}")
        self.workspace = Workspace(self.project / ".localembed")

    def copy_project(self, _: None) -> None:
        copied = self.top / f"copy{next(self.numbers)}"
        shutil.copytree(self.project, copied)
        original, self.project = self.project, copied
        self.workspace = Workspace(self.project / ".localembed")
        localembed.trust(self.project)  # it keeps no permission for the roots outside
        assert not [path for path in shown(self.workspace) if is_below(path, original)]

    def move_root(self, number: int) -> None:
        root = self.root(number)
        if root is None or not root.is_dir() or root == self.project:
            return
        moved = root.rename(root.parent / f"root{next(self.numbers)}")
        self.workspace.move_root(root, moved)
        self.check_run()
        root.mkdir()  # for the next steps, which name it

    def edit_out(self, number: int) -> None:
        config = self.workspace.layout.config
        if not config.exists():
            return
        head, *blocks = re.split(r"(?m)^(?=\[\[roots\]\])", config.read_text())
        del blocks[number : number + 1]
        config.write_text(head + "".join(blocks))

    def lose_config(self, _: None) -> None:
        self.workspace.layout.config.unlink(missing_ok=True)

    def repair(self, _: None) -> None:
        doctor(self.workspace, repair=True)

    def new_file(self, folder: str) -> None:
        self.write(self.place(folder))

    def restore(self, _: None) -> None:
        versions = self.workspace.history.versions()
        self.workspace.history.restore(str(versions[len(versions) // 2].run))


def is_below(path: str, folder: Path) -> bool:
    return path.startswith(f"{folder}/")


def shown(workspace) -> set[str]:
    """Return the paths of all hits, each of which must be there once."""
    try:
        hits = workspace.query("common words", mode="vector", top_k=1000)
    except NotIndexedError:
        return set()
    paths = [hit.path for hit in hits]
    assert len(paths) == len(set(paths))
    roots = [Path(os.fsdecode(root.path)) for root in workspace.roots]
    assert [p for p in paths if not any(p == str(r) or is_below(p, r) for r in roots)] == []
    return set(paths)


def on_disk(workspace) -> set[str]:
    found: set[str] = set()
    for root in workspace.roots:
        top = Path(os.fsdecode(root.path))
        removed = [str(top / os.fsdecode(path)) for path in root.removed]
        files = [str(p) for p in top.rglob("*.md") if ".localembed" not in p.parts]
        found |= {p for p in files if not any(p == r or p.startswith(f"{r}/") for r in removed)}
    return found


@settings(max_examples=15, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(STEPS, min_size=3, max_size=10))
def test_what_is_shown_is_always_below_a_known_root(tmp_path_factory, fake, steps):
    world = World(tmp_path_factory.mktemp("world"))
    for name, value in steps:
        world.do(name, value)
        shown(world.workspace)
    world.check_run()
