"""`localembed bench`."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from localembed.cli.options import Common, NamedPath, common, model_names
from localembed.cli.render.output import echo, echo_json
from localembed.cli.render.text import INDENT, from_home, printable, width, wrapped
from localembed.embedding import ENGINES, PRECISIONS, device_name
from localembed.errors import UsageError
from localembed.types import json_forms

if TYPE_CHECKING:
    from localembed.bench.measure import Point
    from localembed.bench.session import Bench
    from localembed.bench.stages import StageRate
    from localembed.workspace.workspace import Workspace

_BUDGETS = {"cpu": "512,1024,2048,4096,8192", "gpu": "16384,32768,65536,131072,262144"}
_QUICK_BUDGETS = {"cpu": "1024,2048,4096", "gpu": "32768,131072"}


def _numbers(
    _ctx: click.Context, _param: click.Parameter, value: str | None
) -> tuple[int, ...] | None:
    """Parse comma-separated positive integers."""
    if value is None:
        return None
    words = value.split(",")
    if not all(re.fullmatch(r"[1-9]\d{0,8}", word) for word in words):
        message = f"{value!r} is not a list of positive integers such as 1024,4096"
        raise click.BadParameter(message)
    return tuple(map(int, words))


def _words(
    known: Sequence[str],
) -> Callable[[click.Context, click.Parameter, str | None], tuple[str, ...] | None]:
    """Return a parser of comma-separated words, each one of `known`."""

    def read(
        _ctx: click.Context, _param: click.Parameter, value: str | None
    ) -> tuple[str, ...] | None:
        if value is None:
            return None
        words = tuple(value.split(","))
        wrong = [word for word in words if word not in known]
        if wrong:
            message = f"{wrong[0]!r} is not one of {', '.join(known)}"
            raise click.BadParameter(message)
        return words

    return read


@click.command()
@click.argument("paths", nargs=-1, type=NamedPath())
@click.option("--synthetic", is_flag=True, help="Measure with synthetic token IDs, not files.")
@click.option("--quick", is_flag=True, help="Fewer, shorter measurements: about 20 s on two cores.")
@click.option(
    "--batch-tokens", "budgets", callback=_numbers, metavar="N,N", help="Batch sizes to try."
)
@click.option(
    "--precision",
    "precisions",
    callback=_words(PRECISIONS),
    metavar="NAME,NAME",
    help="Precisions to try.",
)
@click.option(
    "--engine",
    "engines",
    callback=_words(ENGINES),
    metavar="NAME,NAME",
    help="Engines to try.",
)
@click.option(
    "--lengths",
    callback=_numbers,
    metavar="N,N",
    help="Text lengths to try, in tokens, instead of the sample's.",
)
@click.option("--threads", callback=_numbers, metavar="N,N", help="Thread counts to try.")
@click.option("--device", metavar="NAME", help="auto, cpu, cuda, cuda:N or mps.")
@click.option(
    "--model", metavar="NAME", shell_complete=model_names, help="See: localembed models list."
)
@click.option("--chunks", type=click.IntRange(8, 100_000), help="Number of chunks in the sample.")
@click.option("--stages", is_flag=True, help="Measure each stage of a run separately instead.")
@click.option("--query", is_flag=True, help="Measure queries, cold and warm, instead.")
@click.option(
    "--plot",
    type=NamedPath(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Also draw a chart as .png, .svg or .html.",
)
@click.option("--save", is_flag=True, help="Save the best result for index to use.")
@common
@click.pass_context
def bench(
    ctx: click.Context,
    options: Common,
    paths: tuple[str, ...],
    synthetic: bool,
    quick: bool,
    budgets: tuple[int, ...] | None,
    precisions: tuple[str, ...] | None,
    engines: tuple[str, ...] | None,
    lengths: tuple[int, ...] | None,
    threads: tuple[int, ...] | None,
    device: str | None,
    model: str | None,
    chunks: int | None,
    stages: bool,
    query: bool,
    plot: Path | None,
    save: bool,
) -> int:
    """Measure how fast this machine embeds, and how close that is to its limit.

    The sample is taken from PATHS, or else from the index. The knee is the smallest batch within
    3% of the fastest: larger ones only use more memory.
    """
    from localembed.bench.plot import check_plot, write_plot
    from localembed.bench.session import Bench
    from localembed.bench.sweep import Axes

    if plot is not None:
        check_plot(plot)
    for mode, taken in _MODES.items():
        if ctx.params[mode]:
            _refuse_others(ctx, mode, taken)
    workspace = options.workspace({"model": model, "device": device})
    if query:
        return _show_queries(workspace, options)
    run = Bench.prepare(
        workspace, paths, synthetic=synthetic, quick=quick, chunks=chunks, on_notice=options.notice
    )
    if stages:
        return _show_stages(run, options)
    defaults = (_QUICK_BUDGETS if quick else _BUDGETS)["cpu" if run.device == "cpu" else "gpu"]
    axes = Axes(
        batch_tokens=budgets or tuple(map(int, defaults.split(","))),
        precisions=precisions or (run.options.precision,),
        engines=engines or (run.options.engine,),
        threads=threads or (run.options.threads,),
        lengths=lengths or (),
    )
    points = _show_points(run, axes, options)
    edge = run.largest_batch() if run.device.startswith("cuda") else None
    kept = run.save(points) if save else None
    if plot is not None:
        write_plot(points, f"{run.model.spec.name} on {run.machine}", plot)
    if options.as_json:
        from localembed.bench.measure import knee

        form = json_forms.bench_json(
            run.model.spec.name, run.machine, run.sample_name, points, knee(points),
            largest_batch=edge, saved=kept is not None,
        )  # fmt: skip
        echo_json(form)
    else:
        echo(_summary(run, points, edge, saved=kept is not None))
    return 0


_COMMON = {"folder", "as_json", "quiet", "model"}
_MODES = {
    "stages": _COMMON | {"stages", "paths", "quick", "chunks", "device"},
    "query": _COMMON | {"query"},
}
"""Measurements other than a sweep → the parameters that each accepts."""


def _refuse_others(ctx: click.Context, mode: str, taken: Collection[str]) -> None:
    """Refuse options that would have no effect.

    Raises:
        UsageError: there is one; the message names the first.
    """
    for param in ctx.command.params:
        source = ctx.get_parameter_source(param.name or "")
        if source is ParameterSource.COMMANDLINE and param.name not in taken:
            named = param.opts[0] if isinstance(param, click.Option) else "PATHS"
            message = f"--{mode} does not work with {named}. Leave one of them out."
            raise UsageError(message)


def _show_points(run: Bench, axes: Any, options: Common) -> list[Point]:  # noqa: ANN401
    """Measure, and print each row of the table as soon as it is available."""
    points: list[Point] = []
    for point in run.sweep(axes):
        if not points and not options.as_json:
            echo(printable(f"{run.model.spec.name} on {run.machine}, {run.sample_name}"))
            echo(_HEADER)
        points.append(point)
        if not options.as_json:
            echo(_row(point))
    return points


_HEADER = (
    f"{'engine':8} {'prec':4} {'thr':>3} {'tok':>3} {'batch':>6} {'chunks/s':>8} {'tokens/s':>9} "
    f"{'p50 ms':>7} {'p95 ms':>7} {'pad':>4} {'MB':>5} {'peak':>4}"
)


def _row(point: Point) -> str:
    memory = point.device_bytes or point.host_bytes
    share = "" if point.share_of_matmul is None else f"{point.share_of_matmul:.0%}"
    return (
        f"{point.engine.split()[-1]:8} {point.precision:4} "
        f"{point.threads:3} {point.mean_tokens:3.0f} "
        f"{point.batch_tokens:6} {point.chunks_per_second:8,.1f} {point.tokens_per_second:9,.0f} "
        f"{point.p50_ms:7,.1f} {point.p95_ms:7,.1f} {point.padding:4.1%} "
        f"{'-' if memory is None else f'{memory / 1e6:,.0f}':>5} {share:>4}"
    )


def _summary(run: Bench, points: Sequence[Point], edge: int | None, *, saved: bool) -> str:
    """Return the chart and the conclusions below it."""
    from localembed.bench.measure import knee

    chosen = knee(points)
    lines = ["", *_chart(points, chosen), ""]
    text = (
        f"knee: {chosen.batch_tokens} tokens per batch with {chosen.engine} in {chosen.precision}, "
        f"{chosen.chunks_per_second:,.1f} chunks/s"
    )
    if chosen.share_of_matmul is not None:
        rate = run.matmul_rate(chosen) / 1e12
        text += (
            f", {chosen.share_of_matmul:.0%} of the {rate:.2f} TFLOP/s at which this machine "
            f"multiplies matrices in {chosen.precision}"
        )
    lines.append(wrapped(text))
    if edge is not None:
        lines.append(f"largest batch that fits: {edge:,} tokens")
    lines.append("saved: index now uses it" if saved else "Add --save to make index use it.")
    return "\n".join(lines)


def _chart(points: Sequence[Point], chosen: Point) -> list[str]:
    """Return one bar per point."""
    room = width() - 42
    best = max(point.chunks_per_second for point in points)
    bars = []
    for point in points:
        name = f"{point.engine} {point.precision} x{point.threads} {point.mean_tokens:.0f}"
        bar = "█" * max(1, math.floor(room * point.chunks_per_second / best))
        mark = " ← knee" if point is chosen else ""
        bars.append(f"{name[:24]:24} {point.batch_tokens:7} {bar}{mark}")
    return bars


def _show_stages(run: Bench, options: Common) -> int:
    from localembed.bench.stages import slowest

    rates = run.stages()
    worst = slowest(rates)
    if options.as_json:
        speeds = [(rate, rate.chunks_per_second) for rate in rates]
        echo_json(json_forms.bench_stages_json(run.machine, speeds, worst.stage))
        return 0
    echo(printable(f"{run.model.spec.name} on {run.machine}, {run.sample_name}; each stage alone"))
    echo("stage     chunks/s      MB/s")
    for rate in rates:
        echo(_stage_row(rate))
    echo(f"slowest: {worst.stage}")
    return 0


def _stage_row(rate: StageRate) -> str:
    speed = rate.bytes / max(rate.seconds, 1e-9) / 1e6
    return f"{rate.stage:8} {rate.chunks_per_second:9,.0f} {speed:9,.2f}"


def _show_queries(workspace: Workspace, options: Common) -> int:
    from localembed.bench.latency import measure_queries

    found = measure_queries(workspace)
    cold, warm = found.medians
    machine = device_name("cpu")
    if options.as_json:
        echo_json(json_forms.bench_query_json(machine, found))
    else:
        echo(printable(f"{from_home(str(workspace.folder))} on {machine}"))
        echo(f"{INDENT}cold (new process): {cold * 1000:,.0f} ms")
        echo(f"{INDENT}warm (same process): {warm * 1000:,.0f} ms")
    return 0
