"""`localembed eval`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from localembed.cli.options import Common, NamedPath, common, model_names
from localembed.cli.render.output import echo, echo_json, progress_bar
from localembed.cli.render.progress import IndexProgress
from localembed.cli.render.text import INDENT, clipped, printable, width
from localembed.core.text import counted
from localembed.errors import UsageError
from localembed.types import json_forms
from localembed.types.queries import Query, SearchMode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from localembed.evaluation.questions import Question
    from localembed.evaluation.session import Difference, Measured
    from localembed.workspace.workspace import Workspace

    Modes = Mapping[SearchMode, Measured]

_MAX_WORSE = 20


@dataclass(frozen=True, slots=True)
class _Dataset:
    """Questions to measure, and the workspace that answers them."""

    name: str
    questions: tuple[Question, ...]
    workspace: Workspace
    flags: Mapping[str, object]
    """Settings that override every file and variable."""
    documents: Path | None
    """A collection's documents, to be indexed first; None for the user's own index."""


@click.command("eval")
@click.argument("source", type=NamedPath(path_type=Path))
@click.option("--mode", type=click.Choice(["hybrid", "vector", "text"]), help="Default: all three.")
@click.option(
    "--at",
    "at",
    multiple=True,
    metavar="WHICH",
    shell_complete=model_names,
    help="Query this version (a run or tag) or model; repeat to compare two.",
)
@click.option(
    "--calibrate", is_flag=True, help="Fit the confidence of hits to these questions, and store it."
)
@click.option(
    "--allow-network", is_flag=True, default=None, help="Allow requests to a remote model."
)
@common
def evaluate(
    options: Common,
    source: Path,
    mode: SearchMode | None,
    at: tuple[str, ...],
    calibrate: bool,
    allow_network: bool | None,
) -> int:
    """Measure how well search answers questions with known answers.

    SOURCE is a file of your own questions, each followed by a tab and the path or path:line that
    answers it, relative to the file's folder; or a folder in BEIR's layout (corpus.jsonl,
    queries.jsonl, qrels.tsv), which is indexed in the cache first. Each average is followed by its
    95% interval.

    With --calibrate, the confidence of hits is fitted to questions of your own (50 or more), and
    used by later queries of the same model in this workspace.
    """
    from localembed.evaluation.questions import is_collection
    from localembed.evaluation.session import MODES

    if len(at) > 2 or len(set(at)) < len(at):
        message = "--at takes one version or model, or two different ones to compare."
        raise UsageError(message)
    if calibrate and is_collection(source):
        message = (
            "--calibrate needs a file of questions about your own documents, not a collection."
        )
        raise UsageError(message)
    dataset = _read(source, options, {"allow_network": allow_network})
    if calibrate:
        return _calibrate(dataset, (mode,) if mode else MODES, at, options)
    found: dict[str | None, Modes] = {}
    for name in at or (None,):
        of = _meant(dataset.workspace, name)
        if of.at is None:
            _bring_up_to_date(dataset, of.model, options)
        found[name] = _ask(dataset, (mode,) if mode else MODES, of, options)
    if len(found) == 2:
        _show_comparison(dataset, at, found, mode or "hybrid", options)
    else:
        _show(dataset, next(iter(found.values())), options)
    return 0


def _calibrate(
    dataset: _Dataset, modes: Sequence[SearchMode], at: Sequence[str], options: Common
) -> int:
    """Fit and store a calibration for each mode, and show how reliable they are."""
    from localembed.evaluation.calibration import calibrate
    from localembed.search.calibrations import write_calibrations

    of = _meant(dataset.workspace, next(iter(at), None))
    if len(at) > 1 or of.at is not None:
        message = "--calibrate is for a model: --at takes the name of one, no version."
        raise UsageError(message)
    with _bar(len(dataset.questions), options) as tick:
        fitted = calibrate(dataset.workspace, dataset.questions, modes, of, tick)
    write_calibrations(dataset.workspace.layout, [entry.calibration for entry in fitted])
    if options.as_json:
        rows = [
            {**asdict(entry.calibration), "reliability": asdict(entry.reliability)}
            for entry in fitted
        ]
        echo_json(json_forms.calibration_json(dataset.name, rows))
        return 0
    echo(f"{printable(dataset.name)}: {counted(len(dataset.questions), 'question')}")
    echo("mode    right first  Brier skill  AUROC  calibration error")
    for entry in fitted:
        found = entry.reliability
        echo(
            f"{entry.calibration.mode:8}{found.right:<13.0%}{found.brier_skill:<13.2f}"
            f"{found.auroc:<7.2f}{found.error:.2f}"
        )
    options.report(f"Stored in {dataset.workspace.layout.calibrations}, for later queries.")
    return 0


def _read(source: Path, options: Common, flags: Mapping[str, object]) -> _Dataset:
    """Read the questions; a collection gets its own workspace unless one was named."""
    from localembed.evaluation.collection import home_of, lay_out
    from localembed.evaluation.questions import is_collection, read_collection, read_questions
    from localembed.workspace.workspace import Workspace

    if not is_collection(source):
        if source.is_dir():
            message = f"{source} has no corpus.jsonl. Name a folder with one, or a questions file."
            raise UsageError(message)
        return _Dataset(source.name, read_questions(source), options.workspace(flags), flags, None)
    home = home_of(source)
    paths = lay_out(source, home / "documents")
    folder = options.folder or home / "workspace"
    questions = read_collection(source, paths)
    workspace = Workspace(folder, flags)
    return _Dataset(source.resolve().name, questions, workspace, flags, home / "documents")


def _bring_up_to_date(dataset: _Dataset, model: str | None, options: Common) -> None:
    """Index a collection; unchanged documents are not embedded again."""
    from localembed.workspace.workspace import Workspace

    if dataset.documents is None:
        return
    workspace = Workspace(dataset.workspace.folder, {**dataset.flags, "model": model})
    every = {"hidden": True, "no_ignore": True}
    with IndexProgress(enabled=not options.quiet) as progress:
        workspace.index(
            [dataset.documents], options=every, on_event=progress, on_notice=options.notice
        )


def _meant(workspace: Workspace, name: str | None) -> Query:
    """Return a query for what --at names: a version of the workspace, or else a model."""
    if name is None or not workspace.layout.exists():
        return Query("", model=name)
    versions = workspace.history.versions()
    known = {word for version in versions for word in (str(version.run), *version.tags)}
    return Query("", at=name) if name in known else Query("", model=name)


def _ask(
    dataset: _Dataset, modes: Sequence[SearchMode], of: Query, options: Common
) -> dict[SearchMode, Measured]:
    from localembed.evaluation.session import evaluate as ask_all

    with _bar(len(dataset.questions), options) as tick:
        return ask_all(dataset.workspace, dataset.questions, modes, of, tick)


@contextmanager
def _bar(total: int, options: Common) -> Iterator[Callable[[], None]]:
    """Show on a terminal how many questions were answered."""
    with progress_bar(shown=not options.quiet)(total=total, unit=" questions") as bar:

        def tick() -> None:
            bar.update()

        yield tick


def _show(dataset: _Dataset, modes: Modes, options: Common) -> None:
    from localembed.evaluation.session import better_part, difference

    part = better_part(modes)
    gained = difference(modes["hybrid"], modes[part]) if part and "hybrid" in modes else None
    if options.as_json:
        found: dict[str, object] = {"modes": _modes_json(modes)}
        if gained is not None:
            found["hybrid_over_better_part"] = {"part": part, **_difference_json(gained)}
        echo_json(_form(dataset, **found))
        return
    echo(_headline(dataset))
    _show_table(modes)
    if gained is not None:
        echo(f"hybrid over {part}, the better part: {_signed(gained)} nDCG@10")


def _show_comparison(
    dataset: _Dataset,
    at: Sequence[str],
    found: Mapping[str | None, Modes],
    mode: SearchMode,
    options: Common,
) -> None:
    """Show both results, the difference in one mode, and the questions answered worse."""
    from localembed.evaluation.session import difference

    old, new = (found[name] for name in at)
    gained = difference(new[mode], old[mode])
    before, after = (modes[mode].figures["ndcg@10"] for modes in (old, new))
    order = sorted(range(len(before)), key=lambda i: gained.values[i])
    worse = [i for i in order if gained.values[i] < 0]
    if options.as_json:
        rows = [
            {"question": dataset.questions[i].text, "from": before[i], "to": after[i]}
            for i in worse
        ]
        both = [{"name": name, "modes": _modes_json(found[name])} for name in at]
        change = {"mode": mode, **_difference_json(gained)}
        echo_json(_form(dataset, at=both, difference=change, worse=rows))
        return
    echo(_headline(dataset))
    for name in at:
        echo(f"\n{printable(name)}")
        _show_table(found[name])
    echo(f"\n{printable(at[1])} over {printable(at[0])}, {mode}: {_signed(gained)} nDCG@10")
    echo(f"{counted(len(worse), 'question')} answered worse")
    for i in worse[:_MAX_WORSE]:
        line = f"{before[i]:.3f} → {after[i]:.3f}  {printable(dataset.questions[i].text)}"
        echo(INDENT + clipped(line, width() - len(INDENT)))
    if len(worse) > _MAX_WORSE:
        echo(f"{INDENT}… and {len(worse) - _MAX_WORSE:,} more (--json lists all)")


def _headline(dataset: _Dataset) -> str:
    return (
        f"{printable(dataset.name)}: {counted(len(dataset.questions), 'question')} over "
        f"{counted(dataset.workspace.status().files, 'document')}"
    )


def _show_table(modes: Modes) -> None:
    from localembed.evaluation.session import FIGURES

    titles = {"ndcg@10": "nDCG@10", "recall@100": "Recall@100", "mrr@10": "MRR@10"}
    echo("mode    " + "".join(f"{titles[figure]:23}" for figure in FIGURES).rstrip())
    for mode, measured in modes.items():
        cells = ""
        for figure in FIGURES:
            low, high = measured.interval(figure)
            cells += f"{measured.mean(figure):.3f} [{low:.3f}, {high:.3f}]".ljust(23)
        echo(f"{mode:8}{cells}".rstrip())


def _signed(gained: Difference) -> str:
    low, high = gained.interval
    return f"{gained.mean:+.3f} [{low:+.3f}, {high:+.3f}]"


def _form(dataset: _Dataset, **results: object) -> dict[str, Any]:
    documents = dataset.workspace.status().files
    return json_forms.eval_json(dataset.name, len(dataset.questions), documents, **results)


def _modes_json(modes: Modes) -> dict[str, object]:
    from localembed.evaluation.session import FIGURES

    return {
        mode: {
            **{figure: measured.mean(figure) for figure in FIGURES},
            "intervals": {figure: measured.interval(figure) for figure in FIGURES},
        }
        for mode, measured in modes.items()
    }


def _difference_json(gained: Difference) -> dict[str, object]:
    return {"ndcg@10": gained.mean, "interval": gained.interval}
