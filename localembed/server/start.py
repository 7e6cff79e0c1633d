"""Start a resident in the background, and stop one."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from localembed.core.processes import environment, python
from localembed.server import address
from localembed.server.client import exchange


def is_running(workspace: Path) -> bool:
    """Tell whether a resident is running for a workspace."""
    found = address.connect(address.path_of(str(workspace)), seconds=1.0)
    if found is None:
        return False
    found[0].close()
    return True


def start(workspace: Path) -> None:
    """Start a resident that outlives this process; if one is already running, the new one exits."""
    subprocess.Popen(
        python("localembed", "serve", "-q", "--workspace", str(workspace)),
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True, cwd=os.sep, env=environment(),
    )  # fmt: skip


def stop(workspace: Path) -> bool:
    """Stop the resident; return False if there is none."""
    return exchange(str(workspace), []) is not None
