"""A worker process that reads and chunks files, started by `chunk_workers`.

    python -m localembed.pipeline.chunk_worker

Requests come in on stdin and replies go out on stdout, as pickles: first the loader of the chunker,
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
"""Compact pickling of chunks and their ids: half the size of what Python and NumPy produce."""


def main() -> None:
    """Chunk files until stdin is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the run decides when to stop
    requests = sys.stdin.buffer
    # Output that a library prints must not end up among the replies.
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        backends, loader = pickle.load(requests)
        BACKENDS.update(backends)
        _reply_to_all(requests, replies, OwnChunker(loader, CancelToken()))
    except (EOFError, BrokenPipeError):
        os._exit(0)  # the run is over, and the pipe is closed


def _reply_to_all(requests: BinaryIO, replies: BinaryIO, chunker: OwnChunker) -> None:
    while True:
        files = pickle.load(requests)
        reply: list[ChunkedFile] | Exception
        try:
            reply = chunker.chunk(files)
        except Exception as error:  # noqa: BLE001 - raised again in the run
            reply = error
        pickler = pickle.Pickler(replies, pickle.HIGHEST_PROTOCOL)
        pickler.dispatch_table = _AS_CALLS
        pickler.dump(reply)
        replies.flush()


if __name__ == "__main__":
    main()
