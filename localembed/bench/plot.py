"""Plot a sweep: chunks per second over batch size."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from localembed.bench.measure import Point
from localembed.errors import UsageError

FORMATS = (".png", ".svg", ".html")


def check_plot(path: Path) -> None:
    """Check that the plot can be written, before anything is measured.

    Raises:
        UsageError: the file type is unknown, its folder does not exist, or matplotlib is missing.
    """
    if path.suffix not in FORMATS:
        message = f"--plot {path}: the name must end in .png, .svg or .html."
        raise UsageError(message)
    if not path.absolute().parent.is_dir():
        message = f"--plot {path}: there is no folder {path.absolute().parent}."
        raise UsageError(message)
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        message = "--plot needs matplotlib. Run: pip install 'localembed[plot]'"
        raise UsageError(message) from error


def write_plot(points: Sequence[Point], title: str, path: Path) -> None:
    """Write the plot; an .html file contains it as SVG and loads nothing.

    Raises:
        UsageError: the file cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    series: dict[str, list[Point]] = {}
    for point in points:
        label = f"{point.engine} {point.precision}, {point.threads} threads, {point.sample}"
        series.setdefault(label, []).append(point)
    for label, line in series.items():
        xs = [point.batch_tokens for point in line]
        axes.plot(xs, [point.chunks_per_second for point in line], marker="o", label=label)
    axes.set_xscale("log", base=2)
    axes.set_xlabel("tokens per batch")
    axes.set_ylabel("chunks/s")
    axes.set_ylim(bottom=0)
    axes.set_title(title)
    axes.grid(visible=True, alpha=0.3)
    axes.legend()
    picture = io.BytesIO()
    figure.savefig(picture, format="png" if path.suffix == ".png" else "svg")
    data = picture.getvalue()
    if path.suffix == ".html":
        head = f"<!doctype html><meta charset='utf-8'><title>{title}</title>\n"
        data = head.encode() + data[data.index(b"<svg") :]
    try:
        path.write_bytes(data)
    except OSError as error:
        message = f"--plot {path} cannot be written: {error.strerror}."
        raise UsageError(message) from error
