"""`localembed` and `python -m localembed`: use a running server, or else run the command line."""

from __future__ import annotations

import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

_INTERRUPTED = 130


def main() -> NoReturn:
    """Run one command line and exit with its code."""
    if sys.argv[1:2] in (["query"], ["search"]):
        try:
            from localembed.server.client import ask

            code = ask(sys.argv[1:])
        except KeyboardInterrupt:
            _print_interrupted()
            code = _INTERRUPTED
        if code is not None:
            sys.exit(code)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not in the background
        # Until the command line listens, there is nothing to save: leave without a traceback.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from localembed.cli.main import main as run

    run()


def _print_interrupted() -> None:
    """Say on stderr, if it is open, what the command line says after Ctrl-C."""
    try:
        os.write(2, b"Interrupted.\n")
    except OSError:
        return


if __name__ == "__main__":
    main()
