"""A child that cuts files: `python -m localembed.pipeline.cutter`, started by `cutters`.

It is asked on its stdin and answers on its stdout, in pickles: first how the chunker is loaded,
then one file at a time.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
from collections.abc import Callable
from typing import BinaryIO

from localembed.embedding import BACKENDS
from localembed.pipeline.cutters import once
from localembed.pipeline.cutting import Chunk, Cut, read_and_cut


def main() -> None:
    """Cut files until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who asks says when it is over
    questions = sys.stdin.buffer
    # What a library prints must not stand between the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        backends, load = pickle.load(questions)
        BACKENDS.update(backends)
        _answer_all(questions, answers, once(lambda: load(lambda: None)))
    except (EOFError, BrokenPipeError):
        os._exit(0)  # the run is over, and nobody reads an answer


def _answer_all(questions: BinaryIO, answers: BinaryIO, chunk: Callable[[], Chunk]) -> None:
    while True:
        file, previous = pickle.load(questions)
        answer: Cut | Exception
        try:
            answer = read_and_cut(file, previous, chunk())
        except Exception as error:  # noqa: BLE001 - raised where the file was asked for
            answer = error
        pickle.dump(answer, answers, pickle.HIGHEST_PROTOCOL)
        answers.flush()


if __name__ == "__main__":
    main()
