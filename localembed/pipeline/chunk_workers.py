"""Who reads and chunks the files of a run: threads of this process, or worker processes.

Chunking is Python and NumPy on small arrays, so threads of one process take turns at it, and at all
else that goes on: embedding with a static model took 10 s instead of 4 beside two of them. A long
run whose model is faster than that gets a worker process per core, four at most. A worker is handed
a few files at a time on its stdin and answers on its stdout, in pickles. A file that ends a worker
fails alone.
"""

from __future__ import annotations

import os
import pickle
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from threading import Lock
from typing import IO, Protocol, Self, cast

from localembed.core.cancellation import CancelToken, RunCancelledError
from localembed.core.processes import environment, python
from localembed.embedding import BACKENDS, cores
from localembed.pipeline.counters import RunCounters
from localembed.pipeline.read_and_chunk import ChunkedFile, KnownFile, read_and_chunk
from localembed.types.documents import DocumentChunker
from localembed.types.limits import Limits

_EXIT_SECONDS = 5.0
"""How long to wait for a silent worker to exit."""


class ChunkerLoader(Protocol):
    """Loads the chunker of a run. Can be pickled for a worker process."""

    def load(self, token: CancelToken) -> DocumentChunker:
        """Load the chunker.

        Args:
            token: checked between the parts of a long document.
        """


class OwnChunker:
    """Reads and chunks files in this process, with a chunker that is loaded once."""

    def __init__(self, loader: ChunkerLoader, token: CancelToken) -> None:
        """Load nothing yet."""
        self._loader = loader
        self._token = token
        self._loading = Lock()
        self._chunker: DocumentChunker | None = None

    def chunk(self, files: Sequence[KnownFile]) -> list[ChunkedFile]:
        """Read and chunk files.

        Raises:
            RunCancelledError: the run is over.
        """
        self._token.raise_if_cancelled()
        with self._loading:
            self._chunker = self._chunker or self._loader.load(self._token)
        return read_and_chunk(files, self._chunker)


class ChunkWorkers:
    """Reads and chunks the files of one run; its worker processes end with the block."""

    def __init__(
        self,
        loader: ChunkerLoader,
        total_bytes: int,
        token: CancelToken,
        counters: RunCounters,
        limits: Limits,
    ) -> None:
        """Start nothing yet.

        Args:
            loader: loads the chunker, here and in workers.
            total_bytes: size of all files; 0 to start no workers.
            token: cancelled when the run is over; `chunk` raises RunCancelledError then.
            counters: know what the run waits for.
            limits: when workers pay off, and how many there may be.
        """
        self._loader = loader
        self._own = OwnChunker(loader, token)
        self._left = total_bytes
        self._counters = counters
        self._limits = limits
        self._max_workers = min(limits.max_chunk_workers, cores()) if cores() > 1 else 0
        self._lock = Lock()
        self._closed = self._broken = False
        self._started = 0
        """Workers that ran side by side, at most; one that ends is replaced."""
        self._idle: list[_Worker] = []
        self._all: list[_Worker] = []
        self.at_once = min(limits.max_chunk_threads, cores())
        """How many threads may call `chunk` at the same time."""
        token.on_cancel(self.close)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_error: object) -> None:
        """End all workers."""
        self.close()

    def chunk(self, files: Sequence[KnownFile]) -> list[ChunkedFile]:
        """Read and chunk files.

        Raises:
            RunCancelledError: the run is over.
        """
        return self._chunk(files, self._take(sum(file.stat.size for file, _ in files)))

    def _chunk(self, files: Sequence[KnownFile], worker: _Worker | None) -> list[ChunkedFile]:
        if worker is None:
            return self._own.chunk(files)
        try:
            answer = worker.chunk(files)
        except (EOFError, OSError, ValueError, pickle.UnpicklingError):  # ValueError: closed
            return self._without(worker, files)
        with self._lock:
            self._idle.append(worker)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        """End all workers, whatever they do."""
        with self._lock:
            self._closed = True
            workers, self._all = self._all, []
        for worker in workers:
            worker.end()

    def _take(self, size: int, *, needed: bool = False) -> _Worker | None:
        """Return an idle worker for files of this size, None to read them in this process.

        Args:
            size: bytes.
            needed: whether this process must not read them, since they may have ended a worker.
        """
        with self._lock:
            if self._closed:
                raise RunCancelledError
            left, self._left = self._left, self._left - size
            if self._broken:
                return None
            if not self._idle and (needed or self._may_start(left)):
                with suppress(OSError):  # this machine may be short of processes
                    self._idle.append(_Worker(self._loader))
                    self._all.append(self._idle[-1])
                    self._started = max(self._started, len(self._all))
            return self._idle.pop() if self._idle else None

    def _may_start(self, left: int) -> bool:
        """Tell whether one more worker makes the run faster, with so many bytes left to read.

        One at a time, so that this process goes on while a worker loads its chunker.
        """
        if len(self._all) < self._started:  # one has ended
            return True
        if self._all:
            ready = all(worker.has_answered for worker in self._all)
            return ready and len(self._all) < self._max_workers
        if not self._max_workers or left < max(1, self._limits.worker_start_bytes):
            return False
        return self._counters.waits_for_chunks(self._limits.worker_start_ratio)

    def _without(self, worker: _Worker, files: Sequence[KnownFile]) -> list[ChunkedFile]:
        """Return what files held after the worker that had them ended."""
        code = worker.exit_code()
        with self._lock:
            if self._closed:
                raise RunCancelledError
            self._all.remove(worker)
            if code > 0 and not worker.has_answered:  # it could not even begin, nor will others
                self._broken = True
        if self._broken:
            return self._own.chunk(files)
        if len(files) > 1:
            return [
                chunked
                for file in files
                for chunked in self._chunk([file], self._take(0, needed=True))
            ]
        how = f"exit code {code}" if code >= 0 else f"signal {-code}"
        error = f"the process that chunked it ended ({how}); the next run tries it again"
        return [ChunkedFile(error=error)]


class _Worker:
    """A process that reads and chunks files."""

    def __init__(self, loader: ChunkerLoader) -> None:
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
        self._greeting = pickle.dumps((dict(BACKENDS), loader))
        self.has_answered = False

    def chunk(self, files: Sequence[KnownFile]) -> list[ChunkedFile] | Exception:
        """Return what files held, or what the worker raised.

        Raises:
            EOFError: it ended.
            OSError: it ended before.
        """
        self._to.write(self._greeting)
        self._greeting = b""
        pickle.dump(files, self._to)
        self._to.flush()
        answer: list[ChunkedFile] | Exception = pickle.load(self._from)
        self.has_answered = True
        return answer

    def exit_code(self) -> int:
        """Return how it ended, having gone silent; a signal's number is negative."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_EXIT_SECONDS)
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
