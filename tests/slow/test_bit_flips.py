"""Every kind of file, broken in every way: noticed, fixed, and nothing embedded that was sound."""

from __future__ import annotations

import pytest

from localembed import doctor
from localembed.errors import LocalembedError
from tests.damage import KINDS, WAYS, damage, file_of, grow
from tests.test_crash import assert_equals_clean_build

pytestmark = pytest.mark.slow
UNNOTICED = {
    ("a run", "gone"),  # there is no way back to it; no fault of what is searched
    ("the tags", "gone"),
    ("the calibrations", "gone"),  # as if none had been fitted
    ("older version", "gone"),  # as a clean-up takes it away; one with a tag is missed
    ("transactions", "gone"),  # nothing needs them once they are done
    ("manifest.duckdb", "flip"),  # DuckDB notices each flip in what it uses; it has spare blocks
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_noticed_and_fixed(workspace, notes, fake, tmp_path, kind, way, seed):
    grow(workspace, notes)
    damage(file_of(workspace, kind, seed), way, seed)

    try:
        noticed: str = doctor(workspace, deep=True).verdict
    except LocalembedError as error:
        noticed = str(error)
    assert noticed != "ok" or (kind, way) in UNNOTICED

    fixed = doctor(workspace, deep=True, repair=True)

    assert not [finding for finding in fixed.findings if finding.verdict == "wrong"]
    assert workspace.query("newword1x1", mode="text")
    assert_equals_clean_build(workspace, notes, tmp_path)
