"""A worker process that reads and chunks files, started by `chunk_workers`.

    python -m localembed.pipeline.chunk_worker

It is asked on its stdin and answers on its stdout, in pickles: first how the chunker is loaded,
then a few files at a time.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
from collections.abc import Callable
from operator import attrgetter
from typing import Any, BinaryIO

import numpy as np

from localembed.core.cancellation import CancelToken
from localembed.embedding import BACKENDS
from localembed.pipeline.chunk_workers import OwnChunker
from localembed.pipeline.read_and_chunk import ChunkedFile
from localembed.types.documents import Chunk

_values = attrgetter(*Chunk.__dataclass_fields__)


_AS_CALLS: dict[type, Callable[[Any], tuple[Any, ...]]] = {
    Chunk: lambda chunk: (Chunk, _values(chunk)),
    np.ndarray: lambda ids: (np.frombuffer, (ids.tobytes(), ids.dtype.type)),
}
"""How chunks and their ids are pickled: half as long as what Python and NumPy do by themselves."""


def main() -> None:
    """Chunk files until stdin is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who asks says when it is over
    questions = sys.stdin.buffer
    # What a library prints must not stand between the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        backends, loader = pickle.load(questions)
        BACKENDS.update(backends)
        _answer_all(questions, answers, OwnChunker(loader, CancelToken()))
    except (EOFError, BrokenPipeError):
        os._exit(0)  # the run is over, and nobody reads an answer


def _answer_all(questions: BinaryIO, answers: BinaryIO, chunker: OwnChunker) -> None:
    while True:
        files = pickle.load(questions)
        answer: list[ChunkedFile] | Exception
        try:
            answer = chunker.chunk(files)
        except Exception as error:  # noqa: BLE001 - raised where the files were asked for
            answer = error
        pickler = pickle.Pickler(answers, pickle.HIGHEST_PROTOCOL)
        pickler.dispatch_table = _AS_CALLS
        pickler.dump(answer)
        answers.flush()


if __name__ == "__main__":
    main()
