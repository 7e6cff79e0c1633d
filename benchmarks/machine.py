"""What a number was measured on: without it the number says nothing."""

from __future__ import annotations

import datetime
import json
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PACKAGES = ("lancedb", "duckdb", "sentence-transformers", "torch", "tokenizers", "numpy")


def describe() -> dict[str, object]:
    """Return commit, processor, memory, versions and the day."""
    return {
        "commit": _output("git", "rev-parse", "--short=12", "HEAD"),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "processor": _first("/proc/cpuinfo", "model name"),
        "cores": os.cpu_count(),
        "bf16": any(flag in _text("/proc/cpuinfo") for flag in ("amx_bf16", "avx512_bf16")),
        "memory": _first("/proc/meminfo", "MemTotal"),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: found for name in _PACKAGES if (found := _version(name))},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _text(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def _first(path: str, key: str) -> str:
    lines = (line for line in _text(path).splitlines() if line.startswith(key))
    return next(lines, ":").partition(":")[2].strip()


def publish(result: dict[str, object], out: Path | None) -> None:
    """Print a result with its machine, and write it to a file if one is named."""
    text = json.dumps({"machine": describe(), **result}, indent=1)
    print(text)
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text + "\n")
