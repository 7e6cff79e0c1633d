"""Which files a run looks at, and which it may forget, from stats alone."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localembed.core.hashing import document_id
from localembed.pipeline.counters import RunCounters
from localembed.pipeline.plan import make_plan
from localembed.sources import Walk
from localembed.types.documents import (
    FileRecord,
    FileStat,
    MissingFile,
    Note,
    Root,
    SourceFile,
)
from localembed.types.events import Step

SECOND = 1_000_000_000
LONG_AGO = 1_700_000_000 * SECOND + 123_456_789
STAT = FileStat(size=10, mtime_ns=LONG_AGO, ctime_ns=LONG_AGO, inode=7)
ROOT = Root("r", b"/documents")
OTHER = Root("o", b"/other")


def file(path: bytes, stat: FileStat = STAT, root: Root = ROOT) -> SourceFile:
    return SourceFile(root.root_id, root.path, path, stat, document_id(root.root_id, path))


def record(path: bytes, root: Root = ROOT, **changes) -> FileRecord:
    known = FileRecord(
        doc_id=document_id(root.root_id, path),
        root_id=root.root_id,
        path=path,
        stat=STAT,
        observed_ns=LONG_AGO + SECOND,
        content_hash=b"c" * 16,
        n_chunks=3,
        run=1,
        state="indexed",
    )
    return replace(known, **changes)


def remembered(*records: FileRecord) -> dict[bytes, FileRecord]:
    return {entry.doc_id: entry for entry in records}


def seen(*paths: bytes, root: Root = ROOT, **facts) -> Walk:
    return Walk(root, facts.pop("scope", b""), files=[file(p, root=root) for p in paths], **facts)


def numbered(count: int) -> list[bytes]:
    return [b"%d.md" % n for n in range(count)]


def outcome(known: FileRecord, now: FileStat, **options) -> str:
    """Return what the plan makes of one known file."""
    walked = Walk(ROOT, b"", files=[file(b"a.md", now)])
    plan = make_plan([walked], remembered(known), **options)
    assert (plan.removed, plan.added) == ((), ())
    return "changed" if plan.changed else "skipped" if plan.skipped else "unchanged"


def losing(gone: int, of: int, **options):
    """Return the plan after `gone` of so many files went away."""
    paths = numbered(of)
    return make_plan([seen(*paths[gone:])], remembered(*map(record, paths)), **options)


def test_a_file_is_added_when_nothing_is_known_of_it():
    plan = make_plan([seen(b"a.md", b"b.md")], remembered(record(b"a.md")))

    assert [f.path for f in plan.added] == [b"b.md"]
    assert plan.to_read == plan.added
    assert plan.unchanged == 1


def test_a_file_is_unchanged_when_its_stat_is():
    assert outcome(record(b"a.md"), STAT) == "unchanged"


@pytest.mark.parametrize("field", ["size", "mtime_ns", "ctime_ns", "inode"])
@pytest.mark.parametrize("step", [-1, 1])
def test_a_file_is_read_when_any_part_of_its_stat_differs(field, step):
    now = replace(STAT, **{field: getattr(STAT, field) + step})

    assert outcome(record(b"a.md"), now) == "changed"


def test_every_file_is_read_when_verifying():
    assert outcome(record(b"a.md"), STAT, verify=True) == "changed"
    assert outcome(record(b"a.md", state="skipped"), STAT, verify=True) == "changed"


# The racy rule


@pytest.mark.parametrize(
    ("age_ns", "expected"),
    [(0, "changed"), (10_000_000, "changed"), (10_000_001, "unchanged"), (-SECOND, "changed")],
)
@pytest.mark.parametrize("newest", ["mtime_ns", "ctime_ns"])
def test_a_stat_proves_nothing_when_it_was_too_fresh(age_ns, expected, newest):
    now = replace(STAT, mtime_ns=5, ctime_ns=7)
    now = replace(now, **{newest: LONG_AGO})

    assert outcome(record(b"a.md", stat=now, observed_ns=LONG_AGO + age_ns), now) == expected


@pytest.mark.parametrize(
    ("age_ns", "expected"),
    [(SECOND, "changed"), (2 * SECOND, "changed"), (2 * SECOND + 1, "unchanged")],
)
def test_whole_seconds_need_two_of_them(age_ns, expected):
    whole = LONG_AGO // SECOND * SECOND
    now = replace(STAT, mtime_ns=whole, ctime_ns=whole - SECOND)

    assert outcome(record(b"a.md", stat=now, observed_ns=whole + age_ns), now) == expected


def test_a_whole_mtime_alone_is_no_coarse_clock():
    now = replace(STAT, mtime_ns=LONG_AGO // SECOND * SECOND)

    assert outcome(record(b"a.md", stat=now, observed_ns=LONG_AGO + SECOND), now) == "unchanged"


@given(
    age=st.integers(-3 * SECOND, 3 * SECOND),
    mtime=st.integers(0, 2**62),
    ctime=st.integers(0, 2**62),
)
def test_what_changed_after_it_was_observed_is_never_trusted(age, mtime, ctime):
    now = replace(STAT, mtime_ns=mtime, ctime_ns=ctime)
    known = record(b"a.md", stat=now, observed_ns=max(mtime, ctime) + age)

    assert outcome(known, now) == "changed" or age > 10_000_000


# States


def test_a_failed_file_is_tried_again_when_its_stat_is_the_same():
    assert outcome(record(b"a.md", state="failed", reason="unreadable"), STAT) == "changed"


def test_a_skipped_file_stays_skipped_with_its_reason():
    known = record(b"a.md", state="skipped", reason="binary", n_chunks=0)
    plan = make_plan([seen(b"a.md")], remembered(known))

    assert plan.skipped == (Note(b"/documents/a.md", "binary"),)
    assert (plan.to_read, plan.unchanged) == ((), 0)


def test_a_skipped_file_is_read_when_it_changed():
    assert outcome(record(b"a.md", state="skipped"), replace(STAT, size=11)) == "changed"


def test_notes_of_the_walk_come_through():
    skipped, failure = Note(b"/documents/x", "hidden"), Note(b"/documents/y", "cannot be listed")
    plan = make_plan([seen(b"a.md", skipped=[skipped], failures=[failure])], {})

    assert plan.skipped == (skipped,)
    assert plan.failures == (failure,)


def test_every_file_is_accounted_for_once():
    known = [record(b"same.md"), record(b"bin", state="skipped"), record(b"bad", state="failed")]
    plan = make_plan([seen(b"same.md", b"bin", b"bad", b"new.md")], remembered(*known))

    assert (plan.unchanged, len(plan.skipped), len(plan.changed), len(plan.added)) == (1, 1, 1, 1)


# Deletion


def test_a_file_is_removed_when_a_complete_walk_does_not_find_it():
    plan = make_plan([seen(b"a.md")], remembered(record(b"a.md"), record(b"gone.md")))

    assert [r.path for r in plan.removed] == [b"gone.md"]
    assert plan.refused == ()


@pytest.mark.parametrize(
    ("gone", "of", "refused"),
    [
        pytest.param(19, 21, False, id="19 of 21"),
        pytest.param(19, 37, False, id="19, more than half"),
        pytest.param(20, 39, True, id="20, more than half"),
        pytest.param(20, 40, False, id="20, exactly half"),
        pytest.param(20, 21, True, id="20 of 21"),
        pytest.param(21, 41, True, id="21, more than half"),
        pytest.param(21, 42, False, id="21, exactly half"),
        pytest.param(500, 2000, False, id="500, a quarter"),
        pytest.param(5, 5, True, id="all of 5"),
        pytest.param(1, 1, True, id="all of 1"),
    ],
)
def test_a_loss_is_refused_when_it_looks_like_a_mistake(gone, of, refused):
    plan = losing(gone, of)

    assert len(plan.removed) == (0 if refused else gone)
    assert len(plan.refused) == refused
    if refused:
        assert "/documents" in plan.refused[0]
        assert "--allow-mass-delete" in plan.refused[0]


def test_a_loss_is_carried_out_when_it_is_allowed():
    assert len(losing(30, 30, allow_mass_delete=True).removed) == 30


def test_a_root_is_not_empty_when_its_only_file_was_renamed():
    plan = make_plan([seen(b"new.md")], remembered(record(b"old.md")))

    assert plan.refused == ()
    assert [r.path for r in plan.removed] == [b"old.md"]


def test_a_missing_root_is_refused_and_nothing_removed():
    plan = make_plan([Walk(ROOT, b"", missing=True)], remembered(record(b"a.md")))

    assert plan.removed == ()
    assert plan.refused[0].startswith("/documents is missing")


def test_a_refused_root_leaves_the_others_alone():
    gone = [record(path) for path in numbered(30)]
    other = [record(b"a.md", OTHER), record(b"b.md", OTHER)]
    plan = make_plan([seen(), seen(b"a.md", root=OTHER)], remembered(*gone, *other))

    assert len(plan.refused) == 1
    assert [(r.root_id, r.path) for r in plan.removed] == [("o", b"b.md")]


def test_files_are_still_read_when_a_deletion_is_refused():
    known = remembered(*map(record, numbered(40)))
    plan = make_plan([seen(b"39.md", b"new.md")], known)

    assert len(plan.refused) == 1
    assert [f.path for f in plan.added] == [b"new.md"]


def test_records_of_a_root_that_was_not_walked_stay():
    plan = make_plan([seen(b"a.md")], remembered(record(b"a.md"), record(b"b.md", OTHER)))

    assert plan.removed == ()


def test_only_the_scope_can_lose_files():
    known = [record(p) for p in (b"sub/a.md", b"sub/b.md", b"subway.md", b"top.md")]
    plan = make_plan([seen(b"sub/a.md", scope=b"sub")], remembered(*known))

    assert [r.path for r in plan.removed] == [b"sub/b.md"]


def test_a_scope_may_lose_all_of_its_few_files():
    plan = make_plan([seen(scope=b"sub")], remembered(record(b"sub/a.md"), record(b"b.md")))

    assert [r.path for r in plan.removed] == [b"sub/a.md"]
    assert plan.refused == ()


def test_a_scope_that_is_one_file_covers_that_file_alone():
    known = remembered(record(b"a.md"), record(b"a.md.bak"))

    assert make_plan([seen(b"a.md", scope=b"a.md")], known).removed == ()


def test_what_lies_below_an_unread_folder_stays():
    known = [record(p) for p in (b"closed/a.md", b"closed/deep/b.md", b"closed2/c.md", b"d.md")]
    plan = make_plan([seen(b"d.md", unread=[b"closed"])], remembered(*known))

    assert [r.path for r in plan.removed] == [b"closed2/c.md"]


def test_files_of_an_unread_folder_do_not_count_as_lost():
    paths = [b"closed/%d.md" % n for n in range(100)]
    known = remembered(*map(record, paths), record(b"a.md"))
    plan = make_plan([seen(b"a.md", unread=[b"closed"])], known)

    assert (plan.removed, plan.refused, plan.unchanged) == ((), (), 1)


# A refusal lasts


def own_stat(path: bytes) -> FileStat:
    """Return a stat that no other file has, except the one that it was moved from."""
    return replace(STAT, size=zlib.crc32(path.replace(b"moved", b"old")))


def runs(before, *steps, at_days=None):
    """Return the plans of runs that find these files, one after another."""
    known = remembered(*(record(path, stat=own_stat(path)) for path in before))
    missing: Mapping[bytes, MissingFile] = {}
    plans = []
    for number, paths in enumerate(steps):
        now = LONG_AGO + SECOND + (at_days[number] if at_days else 0) * 86_400 * SECOND
        found = Walk(ROOT, b"", files=[file(path, own_stat(path)) for path in paths])
        plan = make_plan([found], known, missing=missing, now_ns=now)
        missing = plan.missing
        gone = {r.doc_id for r in plan.removed}
        known = {key: r for key, r in known.items() if key not in gone}
        known |= {
            f.doc_id: record(f.path, stat=f.stat, observed_ns=now + number + 1) for f in plan.added
        }
        plans.append(plan)
    return plans


def named(name: bytes, count: int) -> list[bytes]:
    return [name + b"%d.md" % n for n in range(count)]


def test_a_refusal_is_not_diluted_by_files_that_are_added():
    before, new = named(b"old", 24), named(b"new", 60)
    left = before[20:]
    more = left + new + named(b"more", 500)
    plans = runs(before, left + new, left + new, more, more[1:])

    assert [len(plan.removed) for plan in plans] == [0, 0, 0, 0]
    assert all(plan.refused for plan in plans)
    assert "/documents still lacks 20 of the 24 files that it had" in plans[1].refused[0]


def test_an_empty_root_stays_refused_when_a_file_appears_in_it():
    plans = runs(named(b"old", 3), [], [b"stray.md"], [b"stray.md"])

    assert [len(plan.refused) for plan in plans] == [1, 1, 1]
    assert not any(plan.removed for plan in plans)


def test_a_refusal_ends_when_the_files_are_back():
    before = named(b"old", 24)
    *_, back, after = runs(before, before[20:], before[10:], before, before[1:])

    assert (back.refused, back.removed) == ((), ())
    assert (after.refused, len(after.removed)) == ((), 1)


def test_a_refusal_stands_while_some_of_the_files_are_missing():
    before = named(b"old", 24)
    plans = runs(before, before[20:], before[2:])

    assert (len(plans[1].refused), plans[1].removed) == (1, ())


def test_a_refusal_ends_when_it_is_allowed():
    before = named(b"old", 24)
    refused = make_plan([seen(*before[20:])], remembered(*map(record, before)))
    known = remembered(*map(record, before))
    allowed = make_plan(
        [seen(*before[20:])], known, missing=refused.missing, allow_mass_delete=True
    )

    assert len(allowed.removed) == 20
    assert allowed.missing == {}


def test_a_refused_folder_stays_when_its_root_is_walked():
    below = [b"sub/" + path for path in named(b"old", 24)]
    others = named(b"top", 1000)
    known = remembered(*map(record, [*below, *others]))
    first = make_plan([seen(*below[20:], scope=b"sub")], known)
    second = make_plan([seen(*below[20:], *others)], known, missing=first.missing)

    assert len(first.refused) == len(second.refused) == 1
    assert second.removed == ()


def test_small_deletions_of_a_day_count_together():
    before = named(b"old", 60)
    new = named(b"new", 90)
    plans = runs(before, before[15:], before[15:] + new, before[30:] + new, before[45:] + new)

    assert [len(plan.removed) for plan in plans] == [15, 0, 15, 0]
    assert "has lost 45 of 60 files within a day" in plans[3].refused[0]


def test_small_deletions_of_several_days_are_carried_out():
    before = named(b"old", 60)
    plans = runs(before, before[15:], before[30:], before[45:], at_days=[0, 1, 2])

    assert [len(plan.removed) for plan in plans] == [15, 15, 15]


def test_a_refusal_has_no_time_limit():
    before = named(b"old", 24)
    plans = runs(before, before[20:], before[20:], at_days=[0, 400])

    assert [len(plan.refused) for plan in plans] == [1, 1]


def test_files_that_come_and_go_are_lost_once():
    """Branches of a repository are switched all day."""
    before = named(b"old", 30)
    plans = runs(before, *[before[15:], before] * 5)

    assert not any(plan.refused for plan in plans)


def test_files_that_were_added_meanwhile_are_not_lost():
    before, new = named(b"old", 100), named(b"new", 60)
    plans = runs(before, before[1:], before[1:] + new, before[2:])

    assert [len(plan.removed) for plan in plans] == [1, 0, 61]


def test_files_that_moved_are_not_lost_later():
    before, moved = named(b"old", 30), named(b"moved", 25)
    plans = runs(before, before[25:] + moved, before[26:] + moved)

    assert [len(plan.removed) for plan in plans] == [25, 1]


@given(known=st.sets(st.integers(0, 60)), found=st.sets(st.integers(0, 60)), allowed=st.booleans())
def test_nothing_that_was_found_is_removed_and_nothing_unknown(known, found, allowed):
    records = remembered(*(record(b"%d" % n) for n in known))
    plan = make_plan([seen(*(b"%d" % n for n in found))], records, allow_mass_delete=allowed)
    removed = {int(r.path) for r in plan.removed}

    assert removed == known - found or (removed == set() and plan.refused and not allowed)
    assert {int(f.path) for f in plan.added} == found - known
    assert plan.unchanged == len(known & found)


class Sizes(int):
    """The size of a file, which counts how often it is added up."""

    sums = 0

    def __radd__(self, other: int) -> int:
        type(self).sums += 1
        return int(other) + int(self)


def test_the_sizes_of_the_files_are_added_up_once_not_for_each_file_read():
    walk = Walk(
        ROOT, b"", files=[file(path, replace(STAT, size=Sizes(10))) for path in numbered(50)]
    )
    announced: list[int] = []
    counters = RunCounters(
        lambda event: announced.append(event.count) if event.step is Step.TOTAL else None
    )
    counters.use_plan(make_plan([walk], {}))
    for _ in range(50):
        counters.read_file(10, 2)
    assert announced == [100] * 50
    assert Sizes.sums == 50
