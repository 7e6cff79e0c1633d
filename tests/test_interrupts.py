"""A run that is interrupted in this process keeps every vector that it computed."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from localembed.types.events import Step
from tests.conftest import paragraphs
from tests.sweeps import sampled

pytestmark = pytest.mark.skipif(os.name != "posix", reason="sends signals to itself")

LONG, SMALL = 5000, 40
TOTAL = LONG + SMALL


@pytest.fixture
def corpus(notes):
    """A document of 5,000 chunks among small ones."""
    for n in range(SMALL):
        (notes / f"{n:02}.md").write_text(paragraphs(1, f"f{n}"))
    (notes / "20-long.md").write_text(paragraphs(LONG, "long"))
    return notes


@pytest.fixture
def interrupt_at(fake, monkeypatch):
    """Send Ctrl-C to this process when so many chunks are embedded."""
    monkeypatch.setattr(fake, "batch_size", 10)
    fake.embedded.clear()
    arrived = threading.Event()

    def interrupt(_number, _frame):
        arrived.set()
        raise KeyboardInterrupt

    def interrupt_at(number):
        def wait(chunks):
            if len(fake.embedded) < number <= len(fake.embedded) + chunks:
                os.kill(os.getpid(), signal.SIGINT)
                assert arrived.wait(60), "the thread that waits looks for signals"

        monkeypatch.setattr(fake, "wait", staticmethod(wait))

    before = signal.signal(signal.SIGINT, interrupt)
    yield interrupt_at
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("moment", sampled([1, 5, 17, 35, 60, 1000, 5000, 5025], 2))
def test_a_run_that_is_interrupted_keeps_what_it_embedded(
    workspace, corpus, fake, interrupt_at, moment
):
    interrupt_at(moment)
    with pytest.raises(KeyboardInterrupt) as interrupted:
        workspace.index([corpus])

    embedded = len(fake.embedded)
    assert moment <= embedded < TOTAL
    (note,) = interrupted.value.__notes__
    assert note.startswith(f"All {embedded:,} chunks embedded by this run are kept;")
    assert workspace.status().chunks in (*range(SMALL + 1), *range(LONG, TOTAL)), "whole documents"
    interrupt_at(0)
    report = workspace.index()
    assert (report.chunks.total, report.chunks.embedded) == (TOTAL, TOTAL - embedded)
    assert workspace.status().pending_bytes == 0


def test_an_interrupted_run_goes_on_although_another_one_came_between(
    workspace, corpus, fake, interrupt_at, tmp_path
):
    """A run over another folder leaves the saved vectors alone."""
    interrupt_at(1000)
    with pytest.raises(KeyboardInterrupt):
        workspace.index([corpus])
    embedded = len(fake.embedded)
    interrupt_at(0)
    other = tmp_path / "other.md"
    other.write_text("Something else.")
    workspace.index([other], options={})
    assert workspace.index().changed is False
    assert len(fake.embedded) == TOTAL + 1, f"{embedded} are not embedded again"


def test_saved_vectors_of_a_text_that_is_gone_are_dropped(workspace, corpus, interrupt_at):
    interrupt_at(1000)
    with pytest.raises(KeyboardInterrupt):
        workspace.index([corpus])
    assert workspace.status().pending_bytes
    (corpus / "20-long.md").unlink()
    interrupt_at(0)
    workspace.index()
    assert workspace.status().pending_bytes == 0


def test_an_interrupt_before_anything_is_embedded_says_so(workspace, corpus):
    def interrupt(event):
        if event.step is Step.FILES:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as interrupted:
        workspace.index([corpus], on_event=interrupt)
    assert interrupted.value.__notes__ == [
        "This run has embedded nothing yet; run the same command again to continue."
    ]
