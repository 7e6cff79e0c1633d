"""`localembed` and `python -m localembed`: use a running server, or else run the command line."""

from __future__ import annotations

import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> NoReturn:
    """Run one command line and exit with its code."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not in the background
        # Until the command line listens, there is nothing to save: leave without a traceback.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    if sys.argv[1:2] == ["query"]:
        from localembed.server.client import ask

        code = ask(sys.argv[1:])
        if code is not None:
            sys.exit(code)
    from localembed.cli.main import main as run

    run()


if __name__ == "__main__":
    main()
