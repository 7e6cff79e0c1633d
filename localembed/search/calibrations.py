"""Calibrations: those of the package, and those that users fitted to their own questions."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from localembed.core.files import read_json, write_json
from localembed.search.confidence import FEATURES, Calibration
from localembed.store.layout import FORMAT, Layout

_PACKAGED = Path(__file__).with_name("calibrations.json")
"""Written by `python -m benchmarks.confidence`."""


def calibration_of(layout: Layout, model: str, mode: str) -> Calibration | None:
    """Return the calibration for a model and a mode: the user's own, else the package's."""
    own, packaged = _own(layout), _packaged()
    return next((c for c in (*own, *packaged) if (c.model, c.mode) == (model, mode)), None)


def write_calibrations(layout: Layout, fitted: Iterable[Calibration]) -> None:
    """Store calibrations in a workspace, in place of those for the same model and mode.

    Raises:
        StorageError: the disk is full or cannot be written.
    """
    new = {(c.model, c.mode): c for c in fitted}
    kept = [c for c in _own(layout) if (c.model, c.mode) not in new]
    rows = [asdict(calibration) for calibration in (*kept, *new.values())]
    write_json(layout.calibrations, {"format": FORMAT, "calibrations": rows})


def are_readable(layout: Layout) -> bool:
    """Tell whether a workspace's calibrations can be read; so do none."""
    try:
        _read(read_json(layout.calibrations))
    except FileNotFoundError:
        return True
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return True


def _own(layout: Layout) -> list[Calibration]:
    """Return the calibrations in a workspace; none if their file is missing or damaged."""
    try:
        return _read(read_json(layout.calibrations))
    except (OSError, ValueError, KeyError, TypeError):
        return []


@cache
def _packaged() -> list[Calibration]:
    return _read(json.loads(_PACKAGED.read_text("utf-8")))


def _read(content: Mapping[str, Any]) -> list[Calibration]:
    found = []
    for row in content["calibrations"]:
        weights = {name: float(row["weights"][name]) for name in FEATURES}
        numbers = (float(row["intercept"]), *weights.values())
        if not all(map(math.isfinite, numbers)):
            message = "a weight is not finite"
            raise ValueError(message)
        model, mode, questions = str(row["model"]), str(row["mode"]), int(row["questions"])
        found.append(Calibration(model, mode, questions, numbers[0], weights))
    return found
