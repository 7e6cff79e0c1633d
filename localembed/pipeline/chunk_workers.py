"""Read and chunk the files of a run, in threads of this process or in worker processes.

Chunking is Python and NumPy on small arrays, so its threads compete for Python's lock, also with
embedding: a static model took 10 s instead of 4 beside two of them. A long run whose model is
faster than that gets a worker process per core, four at most. A worker receives a few files at a
time on its stdin and replies on its stdout, as pickles. If a file crashes a worker, only that file
fails.
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
from localembed.types.documents import ChunkedDocument, Document, DocumentChunker
from localembed.types.limits import Limits

_EXIT_SECONDS = 5.0
"""How long to wait for a silent worker to exit."""


class ChunkerLoader(Protocol):
    """Loads the chunker of a run; it can be pickled for a worker process."""

    def load(self, token: CancelToken) -> DocumentChunker:
        """Load the chunker.

        Args:
            token: checked between the parts of a long document.
        """


class OwnChunker:
    """Reads and chunks files in its own process, with a chunker that is loaded once."""

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
        return read_and_chunk(files, self._chunk)

    def _chunk(self, documents: Sequence[Document], /) -> list[ChunkedDocument]:
        """Chunk documents; files without new text need no chunker."""
        with self._loading:
            self._chunker = self._chunker or self._loader.load(self._token)
        return self._chunker(documents)


class ChunkWorkers:
    """Reads and chunks the files of one run; leaving the context stops its worker processes."""

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
            loader: loads the chunker, in this process and in workers.
            total_bytes: size of all files; 0 starts no workers.
            token: cancelled when the run is over; `chunk` raises RunCancelledError then.
            counters: show whether the run waits for chunks.
            limits: when to start workers, and how many.
        """
        self._loader = loader
        self._in_process = OwnChunker(loader, token)
        self._bytes_left = total_bytes
        self._counters = counters
        self._limits = limits
        self._max_workers = min(limits.max_chunk_workers, cores()) if cores() > 1 else 0
        self._lock = Lock()
        self._closed = self._broken = False
        self._started = 0
        """Most workers that ran at once; one that ends is replaced."""
        self._idle: list[_Worker] = []
        self._all: list[_Worker] = []
        self.at_once = min(limits.max_chunk_threads, cores())
        """Number of threads that may call `chunk` at the same time."""
        token.on_cancel(self.close)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Stop all workers."""
        self.close()

    def chunk(self, files: Sequence[KnownFile]) -> list[ChunkedFile]:
        """Read and chunk files.

        Raises:
            RunCancelledError: the run is over.
        """
        return self._chunk(files, self._take(sum(file.stat.size for file, _ in files)))

    def _chunk(self, files: Sequence[KnownFile], worker: _Worker | None) -> list[ChunkedFile]:
        if worker is None:
            return self._in_process.chunk(files)
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
        """Stop all workers, even busy ones."""
        with self._lock:
            self._closed = True
            workers, self._all = self._all, []
        for worker in workers:
            worker.end()

    def _take(self, size: int, *, needed: bool = False) -> _Worker | None:
        """Return an idle worker for files of this size, or None to read them in this process.

        Args:
            size: bytes.
            needed: whether this process must not read them, since they may have crashed a worker.
        """
        with self._lock:
            if self._closed:
                raise RunCancelledError
            left = self._bytes_left
            self._bytes_left -= size
            if self._broken:
                return None
            if not self._idle and (needed or self._may_start(left)):
                with suppress(OSError):  # this machine may have no process left
                    self._idle.append(_Worker(self._loader))
                    self._all.append(self._idle[-1])
                    self._started = max(self._started, len(self._all))
            return self._idle.pop() if self._idle else None

    def _may_start(self, left: int) -> bool:
        """Tell whether one more worker makes the run faster, with `left` bytes to read.

        Workers start one at a time, so that this process goes on while one loads its chunker.
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
        """Return the chunks of files whose worker ended."""
        code = worker.exit_code()
        with self._lock:
            if self._closed:
                raise RunCancelledError
            self._all.remove(worker)
            if code > 0 and not worker.has_answered:  # it could not start, nor will others
                self._broken = True
        if self._broken:
            return self._in_process.chunk(files)
        if len(files) > 1:
            return [
                chunked
                for file in files
                for chunked in self._chunk([file], self._take(0, needed=True))
            ]
        status = f"exit code {code}" if code >= 0 else f"signal {-code}"
        error = f"the worker process that chunked it ended ({status}); the next run retries it"
        return [ChunkedFile(error=error)]


class _Worker:
    """A worker process that reads and chunks files."""

    def __init__(self, loader: ChunkerLoader) -> None:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            python("localembed.pipeline.chunk_worker"),
            env=environment(),
            stdin=pipe,
            stdout=pipe,
            # Its own process group keeps Ctrl-C of the terminal away from it.
            process_group=0 if os.name == "posix" else None,
        )
        self._to = cast("IO[bytes]", self._process.stdin)
        self._from = cast("IO[bytes]", self._process.stdout)
        self._greeting = pickle.dumps((dict(BACKENDS), loader))
        self.has_answered = False

    def chunk(self, files: Sequence[KnownFile]) -> list[ChunkedFile] | Exception:
        """Return the chunks of files, or the exception that the worker raised.

        Raises:
            EOFError: the worker ended meanwhile.
            OSError: the worker ended before.
        """
        self._to.write(self._greeting)
        self._greeting = b""
        pickle.dump(files, self._to)
        self._to.flush()
        answer: list[ChunkedFile] | Exception = pickle.load(self._from)
        self.has_answered = True
        return answer

    def exit_code(self) -> int:
        """Wait for a silent worker to exit, and return its exit code; negative for a signal."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_EXIT_SECONDS)
        self.end()
        return int(self._process.returncode)

    def end(self) -> None:
        """Stop the worker, even if it is busy."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._to, self._from):
            # Data that was never sent cannot be flushed any more.
            with suppress(OSError):
                pipe.close()
