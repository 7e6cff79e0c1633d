"""Who reads and cuts the files of a run: threads of this process, or children that do it as well.

Cutting is Python and NumPy on small arrays, so threads of one process take turns at it, and at all
else that goes on: embedding with a static model took 10 s instead of 4 beside two of them. A long
run has a child a core, four at most, which is asked for a few files at a time over its stdin and
answers on its stdout, in pickles. A file that ends a child fails alone.
"""

from __future__ import annotations

import os
import pickle
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from threading import Lock
from typing import IO, cast

from localembed.core.processes import environment, python
from localembed.embedding import BACKENDS, cores
from localembed.pipeline.read_and_chunk import Asked, ChunkedFile, read_and_chunk
from localembed.pipeline.stage_threads import CancelToken, RunCancelledError
from localembed.types.documents import ChunkDocuments

WORTH_BYTES = 16 << 20
"""Of files: a child takes half a second to start."""
_MAX_THREADS = 4
_MAX_CHILDREN = 4
"""Each cuts 8,300 chunks a second, and writing alone takes in 15,400."""
_LAST_SECONDS = 5.0
"""From the last that was heard of a child to its end."""

LoadChunker = Callable[[Callable[[], None]], ChunkDocuments]
"""Loads the chunker, given what it calls between parts of a document (it may raise). Can be pickled
for a child."""
ChunkFiles = Callable[[Sequence[Asked]], list[ChunkedFile]]


@dataclass(frozen=True, slots=True)
class ChunkWorkers:
    """What cuts files."""

    cut: ChunkFiles
    at_once: int
    """How many threads may be in there."""


@contextmanager
def chunk_workers(load: LoadChunker, size: int, stop: CancelToken) -> Iterator[ChunkWorkers]:
    """Have files cut; the children end with the block.

    Args:
        load: the chunker; called for the first file.
        size: bytes of all files.
        stop: said when the run is over; the files that are being cut raise RunCancelledError then.
    """
    worth_it = size >= WORTH_BYTES and cores() > 1
    chunk = once(lambda: load(stop.raise_if_cancelled))

    def checked() -> ChunkDocuments:
        stop.raise_if_cancelled()
        return chunk()

    def chunk_here(files: Sequence[Asked]) -> list[ChunkedFile]:
        return read_and_chunk(files, checked())

    pool = _Pool(load, chunk_here, min(_MAX_CHILDREN, cores()) if worth_it else 0)
    if not pool.size:
        yield ChunkWorkers(chunk_here, min(_MAX_THREADS, cores()))
        return
    stop.on_cancel(pool.close)
    try:
        yield ChunkWorkers(pool.cut, pool.size)
    finally:
        pool.close()


def once(load: Callable[[], ChunkDocuments]) -> Callable[[], ChunkDocuments]:
    """Return what loads a chunker for the first that asks, whichever thread that is."""
    loaded = cache(load)
    loading = Lock()

    def get() -> ChunkDocuments:
        with loading:
            return loaded()

    return get


class _Pool:
    """Children, one for each thread that has a file cut."""

    def __init__(self, load: LoadChunker, chunk_here: ChunkFiles, count: int) -> None:
        """Start as many children as this machine lets us have, none if it is short of processes.

        Args:
            load: the chunker, in a child.
            chunk_here: what cuts where no child can.
            count: how many are wanted.
        """
        self._load = load
        self._cut_here = chunk_here
        self._lock = Lock()
        self._closed = False
        self._broken = False
        self._idle: list[_Child] = []
        with suppress(OSError):
            for _ in range(count):
                self._idle.append(_Child(load))
        self._all = list(self._idle)
        self.size = len(self._all)

    def cut(self, files: Sequence[Asked]) -> list[ChunkedFile]:
        """Have files cut.

        Raises:
            RunCancelledError: the run is over.
        """
        child = self._take()
        if child is None:
            return self._cut_here(files)
        try:
            answer = child.ask(files)
        except (EOFError, OSError, ValueError, pickle.UnpicklingError):  # ValueError: closed
            code = child.fate()
            self._check()
            if code > 0 and not child.answered:  # it could not even begin, nor will others
                self._broken = True
                return self._cut_here(files)
            if len(files) > 1:
                return [cut for file in files for cut in self.cut([file])]
            how = f"exit code {code}" if code >= 0 else f"signal {-code}"
            again = "it is tried again at the next run"
            return [ChunkedFile(error=f"the process that cut it ended ({how}); {again}")]
        with self._lock:
            self._idle.append(child)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        """End all children, whatever they do."""
        with self._lock:
            self._closed = True
            children, self._all = self._all, []
        for child in children:
            child.end()

    def _take(self) -> _Child | None:
        """Return a child that has nothing to do, a new one in place of one that ended.

        None where there can be none.
        """
        with self._lock:
            self._check()
            if not self._idle and not self._broken:
                with suppress(OSError):
                    self._idle.append(_Child(self._load))
                    self._all.append(self._idle[-1])
            return self._idle.pop() if self._idle and not self._broken else None

    def _check(self) -> None:
        if self._closed:
            raise RunCancelledError


class _Child:
    """A process that cuts files."""

    def __init__(self, load: LoadChunker) -> None:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            python("localembed.pipeline.chunk_worker"),
            env=environment(),
            stdin=pipe,
            stdout=pipe,
            # In a group of its own, where no Ctrl-C of the terminal reaches it.
            process_group=0 if os.name == "posix" else None,
        )
        self._to = cast("IO[bytes]", self._process.stdin)
        self._from = cast("IO[bytes]", self._process.stdout)
        self._known = pickle.dumps((dict(BACKENDS), load))
        self.answered = False

    def ask(self, files: Sequence[Asked]) -> list[ChunkedFile] | Exception:
        """Return what the child made of files, or what it raised.

        Raises:
            EOFError: it ended.
            OSError: it ended before.
        """
        self._to.write(self._known)
        self._known = b""
        pickle.dump(files, self._to)
        self._to.flush()
        answer: list[ChunkedFile] | Exception = pickle.load(self._from)
        self.answered = True
        return answer

    def fate(self) -> int:
        """Return how it ended, having said no more; a signal's number is negative."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_LAST_SECONDS)
        self.end()
        return int(self._process.returncode)

    def end(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._to, self._from):
            # What it was never sent cannot be flushed any more.
            with suppress(OSError):
                pipe.close()
