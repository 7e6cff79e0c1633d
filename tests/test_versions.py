"""Versions that can be gone back to, and the clean-up that leaves them."""

from __future__ import annotations

import json
import threading

import pytest

from localembed import doctor
from localembed.errors import StorageError, UsageError
from localembed.pipeline.counters import RunCounters
from localembed.store.head import read_head
from localembed.store.lance.connection import connect
from localembed.store.lance.disk_names import versions_on_disk
from localembed.store.versions import read_versions
from localembed.types.limits import Limits
from localembed.types.queries import Query
from tests.conftest import current_table, paragraphs
from tests.sweeps import sampled


@pytest.fixture
def often(workspace, monkeypatch):
    """Compact after a few fragments, and keep three versions."""
    workspace.limits = Limits(max_small_fragments=3)
    monkeypatch.setenv("LOCALEMBED_KEEP_VERSIONS", "3")


def open_version(workspace, version):
    return connect(workspace.layout.vectors).open_table(
        version.table, version=version.entry.lance_version
    )


def texts(workspace, version):
    rows = open_version(workspace, version).search().select(["text"]).to_arrow()
    return sorted(rows["text"].to_pylist())


def index_in_turns(workspace, notes, turns):
    """Change one file and add another in each turn; return what each run left."""
    left = {}
    for turn in range(turns):
        (notes / "a.txt").write_text(f"zebra turn{turn}")
        (notes / f"new{turn}.txt").write_text(f"added{turn}")
        run = workspace.index().run
        left[run] = sorted([f"zebra turn{turn}", *(f"added{n}" for n in range(turn + 1))])
    return left


def test_every_run_leaves_a_version(workspace, notes):
    left = index_in_turns(workspace, notes, 3)
    versions = read_versions(workspace.layout)
    assert [version.run for version in versions] == [3, 2, 1]
    assert {version.run: texts(workspace, version) for version in versions} == left
    assert all(version.at.endswith("+00:00") for version in versions)
    assert [version.removed for version in versions] == [1, 1, 0]


def test_a_clean_up_leaves_the_newest(workspace, notes, often):
    left = index_in_turns(workspace, notes, 14)
    folder = workspace.layout.table(workspace.status().table)
    versions = read_versions(workspace.layout)
    assert [version.run for version in versions][:3] == [14, 13, 12]
    assert len(versions) < 10
    assert {v.run: texts(workspace, v) for v in versions} == {v.run: left[v.run] for v in versions}
    assert len(versions_on_disk(folder)) < 25
    handle = connect(workspace.layout.vectors).open_table(workspace.status().table)
    assert handle.stats()["fragment_stats"]["num_fragments"] <= 5
    assert not workspace.index().changed, "what was cleaned up is what the manifest knows of"
    assert len(workspace.query("added3", mode="text")) == 1


def test_disk_use_stays_bounded(workspace, notes, often, tmp_path):
    from localembed.workspace.workspace import Workspace

    (notes / "much.txt").write_text(paragraphs(300))
    index_in_turns(workspace, notes, 15)
    clean = Workspace(tmp_path / "clean")
    clean.index([notes])
    vectors = sum(p.stat().st_size for p in workspace.layout.vectors.rglob("*") if p.is_file())
    least = sum(p.stat().st_size for p in clean.layout.vectors.rglob("*") if p.is_file())
    assert vectors < 4 * least


def test_readers_see_no_clean_up(workspace, notes, often):
    from localembed.workspace.workspace import Workspace

    index_in_turns(workspace, notes, 2)
    stop, problems, asked = threading.Event(), [], []

    def read():
        reader = Workspace(workspace.folder)
        while not stop.is_set():
            try:
                found = {hit.text for hit in reader.query("zebra", mode="text", top_k=100)}
            except Exception as error:  # noqa: BLE001 - whatever it is, it must not be
                problems.append(error)
                return
            asked.append(len(found))

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    index_in_turns(workspace, notes, 9)
    stop.set()
    for thread in threads:
        thread.join()
    assert problems == []
    assert len(asked) > 10
    assert set(asked) == {1}, "an answer mixed two versions"


def test_a_text_that_comes_back_is_not_embedded_again(workspace, notes, fake, often):
    (notes / "a.txt").write_text("the first text")
    workspace.index()
    (notes / "a.txt").write_text("the second text")
    (notes / "b.txt").write_text("the third text")
    workspace.index()
    (notes / "b.txt").unlink()
    workspace.index()
    fake.embedded.clear()
    (notes / "a.txt").write_text("the first text")
    (notes / "b.txt").write_text("the third text")
    report = workspace.index()
    assert (report.chunks.embedded, report.chunks.reused, fake.embedded) == (0, 2, [])


def test_versions_that_lost_nothing_are_not_searched(workspace, notes, monkeypatch):
    from localembed.pipeline import stored_vectors

    seen = []
    sources = stored_vectors._sources
    monkeypatch.setattr(
        stored_vectors, "_sources", lambda *of: seen.append(sources(*of)) or seen[-1]
    )
    for turn in range(5):
        (notes / f"{turn}.txt").write_text(f"only added {turn}")
        workspace.index()
    assert [len(found) for found in seen] == [0, 1, 1, 1, 1]


@pytest.mark.parametrize("step", sampled(["published", "compacted", "protected", "cleaned"], 2))
def test_a_kill_around_a_clean_up_loses_nothing(workspace, notes, run_cli, step, tmp_path):
    from tests.test_crash import assert_equals_clean_build

    settings = {"LOCALEMBED_KEEP_VERSIONS": "2", "MAX_FRAGMENTS": "1"}
    killed = 0
    for turn in range(4):
        (notes / f"{turn}.txt").write_text(f"zebra turn{turn}")
        (notes / "0.txt").write_text(f"zebra turn{turn} again")
        done = run_cli("index", "-q", cwd=notes, env={**settings, "STOP_AT": f"{step}:1"})
        assert done.returncode in (0, -9), done.stderr
        killed += done.returncode == -9
        assert workspace.query("zebra", mode="text")
    assert killed
    workspace.index()
    assert_equals_clean_build(workspace, notes, tmp_path)
    assert read_head(workspace.layout).tables[workspace.status().table].complete


def test_a_run_says_what_it_published(workspace, notes):
    index_in_turns(workspace, notes, 1)
    facts = json.loads((workspace.layout.runs / "1.json").read_text())
    name, entry = current_table(workspace)
    assert facts["table"] == name
    assert facts["head"]["lance_version"] == entry.lance_version


@pytest.fixture
def three(workspace, notes):
    """Three runs: a file, another one and a change, and a removal."""
    (notes / "a.txt").write_text("zebra first")
    workspace.index()
    (notes / "a.txt").write_text("zebra second")
    (notes / "b.txt").write_text("added later")
    workspace.index()
    (notes / "b.txt").unlink()
    workspace.index()
    return workspace


def found(workspace, at=None):
    return sorted(hit.text for hit in workspace.search(Query("zebra later", at=at)).hits)


def test_a_query_asks_what_a_run_left(three, notes):
    assert found(three) == found(three, "3") == ["zebra second"]
    assert found(three, "1") == ["zebra first"]
    assert found(three, "2") == ["added later", "zebra second"]
    assert [hit.text for hit in three.show(str(notes / "a.txt"), at="1")] == ["zebra first"]
    like = three.like(Query(str(notes / "a.txt"), at="2"))
    assert [hit.text for hit in like.hits] == ["added later"]
    with pytest.raises(UsageError, match=r"no version '9'\. Run: localembed versions list"):
        found(three, "9")


def test_a_tag_is_a_version_that_stays(three, often):
    three.history.tag("release", "2")
    assert found(three, "release") == ["added later", "zebra second"]
    three.history.collect_garbage(1)
    assert [v.run for v in three.history.versions()] == [3, 2]
    assert found(three, "release") == ["added later", "zebra second"]
    three.history.tag("release", None)
    three.history.collect_garbage(1)
    assert [v.run for v in three.history.versions()] == [3]
    with pytest.raises(UsageError, match="There is no tag 'release'"):
        three.history.tag("release", None)


def test_a_version_that_was_moved_by_a_clean_up_is_found_again(three, notes):
    three.history.tag("release", "3")
    three.history.collect_garbage(1)
    (notes / "c.txt").write_text("later still")
    three.index()
    assert found(three, "release") == ["zebra second"]
    assert [v.run for v in three.history.versions()] == [4, 3]
    three.history.collect_garbage(0)
    assert found(three, "release") == ["zebra second"]


def test_a_run_that_was_killed_after_it_was_shown_is_a_version(workspace, notes, run_cli):
    (notes / "a.txt").write_text("zebra first")
    env = {"STOP_AT": "published:2"}  # the first time is that of the batch
    assert run_cli("index", "-q", cwd=notes, env=env).returncode == -9
    (notes / "a.txt").write_text("zebra second")
    workspace.index()
    assert [v.run for v in workspace.history.versions()] == [2, 1]
    assert found(workspace, "1") == ["zebra first"]


@pytest.mark.parametrize("name", ["7", "-x", "a b", "", "a/b", "ä", "x" * 65])
def test_a_name_that_cannot_be_one_is_refused(three, name):
    with pytest.raises(UsageError, match="cannot be a tag"):
        three.history.tag(name, "1")


def test_a_restored_version_is_a_run_of_its_own(three, notes, fake):
    fake.embedded.clear()
    report = three.history.restore("2")
    assert (report.run, report.chunks.total) == (4, 2)
    assert found(three) == found(three, "2")
    assert found(three, "3") == ["zebra second"]
    assert three.status().files == 2
    three.history.restore("3")
    assert found(three) == ["zebra second"]
    assert fake.embedded == []


def test_after_a_restore_the_files_decide_again(three, notes, fake, tmp_path):
    from tests.test_crash import assert_equals_clean_build

    three.history.restore("1")
    assert found(three) == ["zebra first"]
    fake.embedded.clear()
    report = three.index()
    assert (report.files.changed, fake.embedded) == (1, [])
    assert_equals_clean_build(three, notes, tmp_path)


@pytest.mark.parametrize("step", ["claimed", "restored", "reconciled", "published"])
def test_a_kill_during_a_restore_loses_nothing(three, notes, monkeypatch, step, tmp_path):
    from tests.test_crash import assert_equals_clean_build

    class Killed(BaseException):
        pass

    def kill(_counters, reached, _count):
        if reached == step:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(RunCounters, "emit", kill)
        with pytest.raises(Killed):
            three.history.restore("1")
    assert found(three) in (["zebra first"], ["zebra second"])
    three.index()
    assert found(three) == ["zebra second"]
    assert_equals_clean_build(three, notes, tmp_path)


def test_versions_of_another_model_are_gone_back_to(three, notes, monkeypatch):
    monkeypatch.setenv("LOCALEMBED_MODEL", "other")
    (notes / "c.txt").write_text("of the other model")
    three.index()
    assert three.status().model == "other"
    assert three.search(Query("zebra", at="2")).model == "fake"
    three.history.restore("2")
    assert three.status().model == "fake"
    assert found(three) == ["added later", "zebra second"]


def test_what_differs_is_shown(three, notes):
    changes = three.history.compare("1", "2")
    assert changes.added == (str(notes / "b.txt"),)
    assert changes.changed == (str(notes / "a.txt"),)
    assert changes.removed == ()
    assert (changes.chunks_added, changes.chunks_removed) == (2, 1)
    assert three.history.compare("2", "3").removed == (str(notes / "b.txt"),)


def test_garbage_is_not_collected_from_a_run_that_was_cut_off(three, notes, run_cli):
    (notes / "c.txt").write_text("cut off")
    assert run_cli("index", "-q", cwd=notes, env={"STOP_AT": "recorded:1"}).returncode == -9
    with pytest.raises(StorageError, match=r"has to be finished first\. Run: localembed index"):
        three.history.collect_garbage(0)
    three.index()
    three.history.collect_garbage(0)
    assert found(three) == ["cut off", "zebra second"]
    assert not three.index().changed


def test_the_commands_say_what_they_did(three, run_cli, notes):
    shown = run_cli("versions", "list", cwd=notes).stdout.splitlines()
    assert shown[0].split() == [
        "RUN", "WHEN", "FILES", "CHUNKS", "SIZE", "CHANGED", "MODEL",
    ]  # fmt: skip
    assert [line.split()[0] for line in shown[1:]] == ["3", "2", "1"]
    assert [line.split()[8:-1] for line in shown[1:]] == [["-1"], ["+1", "~1"], ["+1"]]
    assert all(len(line) <= 80 for line in shown)
    assert run_cli("versions", "tag", "good", "1", cwd=notes).stdout == "Tagged run 1 as good\n"
    assert run_cli("versions", "list", cwd=notes).stdout.rstrip().endswith("good")
    assert run_cli("query", "zebra", "--at", "good", "-l", cwd=notes).stdout.endswith("a.txt\n")
    shown = run_cli("versions", "diff", "good", "3", cwd=notes).stdout
    assert shown == "~ a.txt\n0 files added, 1 changed, 0 removed; 1 chunk added, 1 removed\n"
    assert run_cli("versions", "restore", "good", cwd=notes).stdout == (
        "Restored good as run 4: 1 chunk\n"
    )
    assert (
        run_cli("versions", "gc", "--keep", "1", "-n", cwd=notes).stdout
        == "Would delete versions 2, 3\n"
    )
    done = run_cli("versions", "gc", "--keep", "1", cwd=notes).stdout
    assert done.startswith("Deleting versions 2, 3\nFreed ")
    assert run_cli("versions", "tag", "good", "-d", cwd=notes).stdout == "Deleted the tag good\n"
    refused = run_cli("query", "zebra", "--at", "1", "--model", "fake", cwd=notes)
    assert refused.returncode == 2
    assert "Each version has one model" in refused.stderr


def test_another_model_is_built_beside_and_goes_on_after_a_kill(
    workspace, notes, fake, monkeypatch, run_cli
):
    """Readers see the old model until the new one is whole; what was embedded is kept."""
    for n in range(4):
        (notes / f"{n}.md").write_text(paragraphs(4, f"f{n}"))
    workspace.index()
    env = {"LOCALEMBED_MODEL": "other", "STOP_AT": "recorded:2", "BATCH_CHUNKS": "4"}
    assert run_cli("index", "-q", cwd=notes, env=env).returncode == -9
    assert workspace.search(Query("f1word1x1", "hybrid", 3)).model == "fake"
    assert not [f for f in doctor(workspace).findings if f.verdict == "wrong"]
    monkeypatch.setenv("LOCALEMBED_MODEL", "other")

    report = workspace.index()

    assert report.chunks.embedded <= report.chunks.total - 8
    assert workspace.search(Query("f1word1x1", "hybrid", 3)).model == "other"
    assert len(read_head(workspace.layout).tables) == 2


def test_another_chunking_takes_the_vectors_that_fit(workspace, notes, fake, monkeypatch):
    (notes / "a.md").write_text(paragraphs(4))
    (notes / "b.md").write_text("short enough for every chunking")
    workspace.index()
    monkeypatch.setenv("LOCALEMBED_CHUNK_TOKENS", "40")

    report = workspace.index()

    assert report.chunks.reused >= 1, "the short text is the same chunk"
    assert report.chunks.embedded > 0, "the others are not"
    assert len(read_head(workspace.layout).tables) == 2


def test_a_table_that_was_replaced_goes_with_its_last_version(workspace, notes, monkeypatch):
    (notes / "a.md").write_text(paragraphs(4))
    workspace.index()
    old = workspace.layout.table(read_head(workspace.layout).default)
    monkeypatch.setenv("LOCALEMBED_MODEL", "other")
    workspace.index()
    history = workspace.history
    history.tag("before", "1")
    assert history.garbage(1).tables == (), "a tag keeps it"
    history.tag("before", None)
    assert history.garbage(2).tables == (), "it is one of two versions"

    garbage = history.garbage(1)
    history.collect_garbage(1)

    assert (garbage.runs, garbage.tables, garbage.models) == ((1,), (old.stem,), ("fake",))
    assert not old.exists()
    assert list(read_head(workspace.layout).tables) != [old.stem]
    assert [version.run for version in history.versions()] == [2]
    assert doctor(workspace).verdict == "ok"


def test_a_kill_while_a_table_is_dropped_leaves_no_trace(workspace, notes, monkeypatch):
    (notes / "a.md").write_text(paragraphs(4))
    workspace.index()
    monkeypatch.setenv("LOCALEMBED_MODEL", "other")
    workspace.index()

    def killed(_path):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("shutil.rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            workspace.history.collect_garbage(1)
    assert len(list(workspace.layout.vectors.glob("*.lance"))) == 2
    workspace.history.collect_garbage(1)

    assert len(list(workspace.layout.vectors.glob("*.lance"))) == 1
    assert doctor(workspace).verdict == "ok"
