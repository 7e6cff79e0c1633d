"""Start a resident in the background, and ask one to end."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from localembed.core.processes import environment, python
from localembed.server import address
from localembed.server.client import exchange


def is_running(workspace: Path) -> bool:
    """Tell whether somebody listens for a workspace's queries."""
    found = address.connect(address.path_of(str(workspace)), seconds=1.0)
    if found is None:
        return False
    found[0].close()
    return True


def start(workspace: Path) -> None:
    """Start a resident that outlives this process; of several, all but one end by themselves."""
    subprocess.Popen(
        python("localembed", "serve", "-q", "--workspace", str(workspace)),
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True, cwd=os.sep, env=environment(),
    )  # fmt: skip


def stop(workspace: Path) -> bool:
    """Let the resident end; return False if there is none."""
    return exchange(str(workspace), []) is not None
