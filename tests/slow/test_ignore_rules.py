"""Thousands of random ignore rules, compared with git."""

from __future__ import annotations

import shutil

import pytest

from tests.ignore_cases import compare

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed"),
]


@pytest.mark.timeout(900)
def test_five_thousand_random_cases_ignore_what_git_ignores(tmp_path, own_home):
    ignore_file = own_home / "config" / "git" / "ignore"
    different, telling = compare(tmp_path, ignore_file, seed=23, cases=5_000)

    assert different == []
    assert telling > 1_000
