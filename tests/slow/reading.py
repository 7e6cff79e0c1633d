"""A reader that stays open and asks again and again: one line of JSON for every answer.

It ends when its stdin does. A line is the sorted turns that one answer showed.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from threading import Event, Thread

import localembed
from tests import fake_backend


def main() -> None:
    fake_backend.register(Path(os.environ["XDG_CONFIG_HOME"]))
    reader = localembed.Workspace(Path(sys.argv[1]))
    over = Event()
    Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    while not over.is_set():
        for mode in ("text", "hybrid"):
            texts = [hit.text for hit in reader.query("zebra", mode=mode, top_k=100)]
            found = {turn for text in texts for turn in re.findall(r"turn\d+", text)}
            print(json.dumps([len(texts), *sorted(found)]), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
