"""Panics of libraries written in Rust: they arrive as exceptions that `except Exception` misses."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

_NAMES = ("PanicException", "RustPanic")
"""PyO3's exception, a BaseException, and that of its asynchronous calls."""
_redirecting = Lock()


class PanicError(RuntimeError):
    """A library written in Rust panicked."""


@contextmanager
def panics_as_errors() -> Iterator[None]:
    """Turn a panic in the block into an error with its first line.

    Raises:
        PanicError: the block panicked.
    """
    try:
        yield
    except BaseException as error:
        if not _is_panic(error):
            raise
        first = str(error).splitlines()[0] if str(error) else "it panicked"
        raise PanicError(first) from None


@contextmanager
def quiet_panics() -> Iterator[None]:
    """Do the same, and keep what Rust prints of a panic away from stderr.

    Whatever else is printed meanwhile, by any thread, is printed afterwards. One block runs at a
    time, so this is for loading, not for every call.
    """
    import shutil
    import tempfile

    with _redirecting, tempfile.TemporaryFile() as kept:
        try:
            stderr = os.dup(2)
        except OSError:  # it is closed
            with panics_as_errors():
                yield
            return
        os.dup2(kept.fileno(), 2)
        panicked = False
        try:
            yield
        except BaseException as error:
            panicked = _is_panic(error)
            with panics_as_errors():
                raise
        finally:
            os.dup2(stderr, 2)
            if not panicked:
                kept.seek(0)
                with os.fdopen(stderr, "wb", closefd=False) as out:
                    shutil.copyfileobj(kept, out)
            os.close(stderr)


def _is_panic(error: BaseException) -> bool:
    return type(error).__name__ in _NAMES
