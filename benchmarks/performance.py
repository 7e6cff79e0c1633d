"""Write docs/performance.md from the results; with --check, only compare.

    python -m benchmarks.performance [--check]

A section is one function and one row of `SECTIONS`; it is left out while there is no result.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.peers.ask import PEERS

PROJECT = Path(__file__).parent.parent
RESULTS = PROJECT / "benchmarks" / "results"
PAGE = PROJECT / "docs" / "performance.md"
README = PROJECT / "README.md"
_RATIOS = re.compile(
    r"[\d.]+ times as fast as(\s+sentence-transformers' `encode` in bf16, and )[\d.]+ times"
)

_BEGIN = """# Performance

Written by `python -m benchmarks.performance` from [what was measured](../benchmarks/results). Each
table stands with its command and its machine; on another machine the numbers are others."""

_WIDTH = 100
_QUIET = 0.05
"""Others may take so much of the processor before the page says so."""

Result = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page."""

    title: str
    pattern: str
    """Names of its files in the results folder."""
    render: Callable[[Sequence[Result]], list[str]]
    """Given all its results, the newest first, returns paragraphs."""


def main() -> int:
    """Write or compare the page and the README's numbers; return the exit code."""
    texts = {PAGE: page(RESULTS), README: readme(README.read_text(encoding="utf-8"), RESULTS)}
    if "--check" in sys.argv[1:]:
        return int(any(path.read_text(encoding="utf-8") != text for path, text in texts.items()))
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")
    return 0


def readme(text: str, folder: Path) -> str:
    """Return the README with the ratios of the newest comparison.

    Raises:
        ValueError: it has no place for them.
    """
    rates = {
        entry["name"]: entry["chunks_per_second"]["median"]
        for entry in load(folder, "peers-*.json")[0]["contestants"]
        if not entry["error"]
    }
    ratios = (f"{rates[name] / rates['encode']:.2f}" for name in ("engine", "engine-fp32"))
    made, places = _RATIOS.subn(
        lambda match: f"{next(ratios)} times as fast as{match[1]}{next(ratios)} times", text
    )
    if places != 1:
        message = "README.md has no place for the ratios"
        raise ValueError(message)
    return made


def page(folder: Path) -> str:
    """Return the page for a folder of results."""
    parts = [_BEGIN]
    for section in SECTIONS:
        if results := load(folder, section.pattern):
            parts += [f"## {section.title}", *section.render(results)]
    return "\n\n".join(parts) + "\n"


def load(folder: Path, pattern: str) -> list[Result]:
    """Return the results whose names match, the newest first."""
    found = {path.name: json.loads(path.read_text()) for path in folder.glob(pattern)}
    order = sorted(found, key=lambda name: (*_when(found[name]), name), reverse=True)
    return [found[name] for name in order]


def _when(result: Result) -> tuple[str, str]:
    return result["machine"]["date"], result.get("finished", "")


def peers(results: Sequence[Result]) -> list[str]:
    """Show the newest comparison with other tools."""
    result = results[0]
    corpus = result["corpus"]
    entries = result["contestants"]
    done = sorted(
        (entry for entry in entries if not entry["error"]),
        key=lambda entry: -entry["chunks_per_second"]["median"],
    )
    base = next((entry for entry in done if entry["name"] == "encode"), None)
    head = ["", "chunks/s", "x", "whole process", "peak memory", "worst cosine"]
    rows = [_peer_row(entry, base) for entry in done]
    return [
        wrapped(
            f"{corpus['chunks']:,} chunks of {corpus['name']} (mean {corpus['mean_tokens']} tokens,"
            f" {corpus['files']} files), the same model, offline; median of {result['rounds']}"
            " rounds that go around all (lowest-highest). The clock runs from the model being"
            " loaded to the last vector being where the tool keeps it; the whole process stands"
            " beside it. x is times sentence-transformers with defaults, the cosine is that of its"
            " fp32 vectors."
        ),
        table(head, rows),
        *_failures(entries),
        *_disturbance(result),
        _accounts(done),
        source(result["command"], result["machine"]),
    ]


def _peer_row(entry: Result, base: Result | None) -> list[str]:
    rate, process = entry["chunks_per_second"], entry["process_seconds"]
    times = f"{rate['median'] / base['chunks_per_second']['median']:.2f}" if base else "-"
    compared = [done["cosine"]["worst"] for done in entry["rounds"] if done["cosine"]]
    return [
        entry["label"],
        f"{rate['median']:.1f} ({rate['min']:.1f}-{rate['max']:.1f})",
        times,
        f"{process['median']:.1f} s",
        f"{entry['peak_rss_mb']['median']:,.0f} MB",
        f"{min(compared):.5f}" if compared else "not given back",
    ]


def _failures(entries: Iterable[Result]) -> list[str]:
    failed = [entry for entry in entries if entry["error"]]
    lines = [f"- {entry['label']} failed: `{entry['error']}`" for entry in failed]
    return ["\n".join(lines)] if lines else []


def _disturbance(result: Result) -> list[str]:
    """Say so where something else ran beside: such numbers are not to be relied on."""
    runs = [run for entry in result["contestants"] for run in entry["rounds"]]
    shares = [run.get("others") or 0.0 for run in (*runs, *result["tuning"].values())]
    bad = [share for share in shares if share > _QUIET]
    if not bad:
        return []
    return [
        f"**Disturbed**: in {len(bad)} runs other processes took up to {max(bad):.0%} of the"
        " processor."
    ]


def _accounts(done: Sequence[Result]) -> str:
    """Return what each contestant did; versions that all have in common stand once."""
    sets = [set(entry["versions"].items()) for entry in done]
    common = set.intersection(*sets) if sets else set()
    lines = [
        wrapped(f"- {entry['label']}: {_account(entry, mine - common)}", "  ")
        for entry, mine in zip(done, sets, strict=True)
    ]
    shared = ", ".join(f"{name} {version}" for name, version in sorted(common))
    return "\n".join([*lines, wrapped(f"- all: {shared}", "  ")])


def _account(entry: Result, versions: Iterable[tuple[str, str | None]]) -> str:
    """Return what was called, what it really did, and its own versions."""
    facts = entry["facts"]
    parts = [entry["what"]]
    if isinstance(facts.get("settings"), dict):
        parts.append(", ".join(f"{name} {value}" for name, value in facts["settings"].items()))
    if "engine" in facts:
        parts.append(f"{facts['engine']}, {facts['precision']}")
    if "share_of_matmul" in facts:
        parts.append(
            f"{facts['share_of_matmul']:.0%} of the {facts['matmul_tflops']:.2f} TFLOP/s at which"
            " this machine multiplies matrices in that precision"
        )
    if limit := facts.get("longest_input", facts.get("max_seq_length")):
        parts.append(f"reads up to {limit} tokens")
    if named := ", ".join(f"{name} {version}" for name, version in sorted(versions) if version):
        parts.append(named)
    return "; ".join(parts)


_QUALITY = "python -m benchmarks.quality --data FOLDER"


def quality(results: Sequence[Result]) -> list[str]:
    """Show how well vectors rank, one row a result."""
    rows = [
        [
            f"{result['model']}, {result['engine']['precision']}",
            *(f"{result[name]:.4f}" for name in ("ndcg_at_10", "recall_at_100", "mrr_at_10")),
        ]
        for result in sorted(
            results, key=lambda result: (result["model"], result["engine"]["precision"])
        )
    ]
    newest = results[0]
    return [
        f"{newest['documents']:,} documents and {newest['queries']:,} queries of {newest['data']},"
        " vectors alone.",
        table(["", "nDCG@10", "recall@100", "MRR@10"], rows),
        "\n".join(dict.fromkeys(source(_QUALITY, result["machine"]) for result in results)),
    ]


def ranking(results: Sequence[Result]) -> list[str]:
    """Show how well each mode ranks documents by their chunks."""
    parts = []
    for result in results:
        rows = [
            [
                f"{row['mode']}, {row['way']}",
                "{:.4f} [{:.3f}, {:.3f}]".format(row["ndcg_at_10"], *row["interval"]),
                f"{row['recall_at_100']:.4f}",
                f"{row['mrr_at_10']:.4f}",
            ]
            for row in result["rows"]
        ]
        gained = ", ".join(
            "{:+.4f} [{:+.3f}, {:+.3f}] over {}".format(
                found["ndcg_at_10"], *found["interval"], part
            )
            for part, found in result["hybrid_over"].items()
        )
        parts += [
            wrapped(
                f"{result['documents']:,} documents in {result['chunks']:,} chunks and"
                f" {result['questions']:,} questions of {result['data']}, {result['model']}. Hybrid"
                f" gains {gained} (95%, paired bootstrap)."
            ),
            table(["", "nDCG@10", "recall@100", "MRR@10"], rows),
            source("python -m benchmarks.ranking --data FOLDER", result["machine"]),
        ]
    return parts


def latency(results: Sequence[Result]) -> list[str]:
    """Show how long queries take, beside what everybody can measure."""
    result = results[0]
    names = {
        "warm": "a query that its resident answers",
        "import_click": '`python -c "import click"`',
        "cold": "a query with `--no-resident`",
        "import_sentence_transformers": '`python -c "import sentence_transformers"`',
    }
    rows = [
        [text, *(f"{result[name][key]:,.0f} ms" for key in ("p50_ms", "p95_ms"))]
        for name, text in names.items()
    ]
    rows += [
        [PEERS[peer][2], *(f"{times[key]:,.0f} ms" for key in ("p50_ms", "p95_ms"))]
        for peer, times in result["peers"].items()
    ]
    return [
        wrapped(
            f"Whole processes over {result['chunks']:,} chunks with vectors of"
            f" {result['numbers_of_a_vector']} numbers. A warm query takes"
            f" {result['warm_p50_over_click']:.2f} times (p95 {result['warm_p95_over_click']:.2f}"
            " times) as long as importing click, a cold one"
            f" {result['cold_over_import']:.2f} times as long as importing sentence-transformers;"
            f" the resident takes {result['resident_mb']:,.0f} MB. The peers were given the same"
            " texts, vectors and model."
        ),
        table(["", "p50", "p95"], rows),
        source("python -m benchmarks.latency", result["machine"]),
    ]


def known_items(results: Sequence[Result]) -> list[str]:
    """Show how well one identifier finds the file that defines it."""
    result = results[0]
    rows = [
        [mode, *(f"{figures[figure]:.4f}" for figure in ("ndcg@10", "mrr@10"))]
        for mode, figures in result["modes"].items()
    ]
    low, high = result["interval"]
    return [
        wrapped(
            f"{result['python_files']} modules of Python's standard library in"
            f" {result['chunks']:,} chunks, {result['questions']} names of functions and classes"
            " that one file alone defines. Hybrid is"
            f" {result['hybrid_beyond_text']:+.3f} [{low:+.3f}, {high:+.3f}] beyond text (nDCG@10,"
            " 95%)."
        ),
        table(["", "nDCG@10", "MRR@10"], rows),
        source("python -m benchmarks.known_items", result["machine"]),
    ]


def vector_index(results: Sequence[Result]) -> list[str]:
    """Show a search over many vectors, with the index of a large table and without it."""
    result = results[0]
    return [
        wrapped(
            f"{result['rows']:,} vectors of {result['dim']} numbers, real ones and others in their"
            f" neighbourhood, and {result['questions']} real questions, in a process that stays:"
            f" the index finds {result['recall_at_10']:.3f} of the ten nearest, and was made and"
            f" measured in {result['seconds_to_index_and_measure']:.0f} s. The run itself put its"
            f" recall at {result['recall_measured_by_the_run']:.3f}."
        ),
        table(
            ["best ten, with their texts", "p50"],
            [
                ["with the index", f"{result['search_p50_ms']:,.1f} ms"],
                ["all vectors compared", f"{result['exact_p50_ms']:,.1f} ms"],
            ],
        ),
        source("python -m benchmarks.vector_index", result["machine"]),
    ]


def memory(results: Sequence[Result]) -> list[str]:
    """Show the peak of the indexing process against the size of the corpus."""
    result = results[0]
    rows = [
        [
            f"{row['megabytes']:,} MB in {row['files']:,} files",
            f"{row['chunks']:,}",
            f"{row['seconds']:,.0f} s",
            f"{row['peak_rss_mb']:,.0f} MB",
        ]
        for row in result["rows"]
    ]
    return [
        wrapped(
            "Text that was made up and a model that costs nothing: the largest takes"
            f" {result['ratio']:.2f} times the memory of the smallest."
        ),
        table(["corpus", "chunks", "time", "peak memory"], rows),
        source("python -m benchmarks.memory", result["machine"]),
    ]


def _queue_length(result: Result) -> int:
    return int(result["queued"]["chunks"])


def _queue_row(queued: Result) -> tuple[str, str]:
    return (
        f"`localembed index` of {queued['chunks']:,} chunks",
        f"{queued['chunks_per_second']:,.0f} chunks/s, {queued['peak_rss_mb']:,.0f} MB at most",
    )


def _remote_command(result: Result) -> str:
    return f"python -m benchmarks.remote{'' if 'ratio' in result else ' --queue 1600'}"


def remote(results: Sequence[Result]) -> list[str]:
    """Return how a server is asked."""
    result = next(result for result in results if "ratio" in result)
    limit = result["limit"]
    rows = [
        ("one request at a time", f"{result['one_at_a_time_chunks_per_second']:,.0f} chunks/s"),
        ("side by side", f"{result['chunks_per_second']:,.0f} chunks/s, {result['ratio']:.1f}x"),
        (
            "with 5% of errors and resets",
            f"{result['with_5_percent_errors_chunks_per_second']:,.0f} chunks/s, "
            f"{result['lost_to_errors']:.1%} less",
        ),
        (
            f"a limit of {limit['tokens_per_minute']:,} tokens a minute",
            f"{limit['share_used']:.1%} used, {limit['refusals_after_the_first_minute']} refusals "
            "after the first minute",
        ),
        *(_queue_row(found["queued"]) for found in sorted(results, key=_queue_length)),
    ]
    text = (
        f"A server on the same machine answers after {result['delay_seconds'] * 1000:.0f} ms; "
        f"{result['texts_per_request']} texts a request."
    )
    return [
        wrapped(text),
        table(["what", "measured"], rows),
        *(source(_remote_command(found), found["machine"]) for found in reversed(results)),
    ]


def whole_run(results: Sequence[Result]) -> list[str]:
    """Show a whole run with the packaged model beside one with a model that costs little."""
    result = results[0]
    rows = [
        [
            f"{row['model']} ({row['engine']['name']}, {row['engine']['precision']})",
            f"{row['chunks']:,}",
            f"{row['seconds']:,.1f} s",
            f"{row['chunks_per_second']:,.0f}",
            f"{row['peak_rss_mb']:,.0f} MB",
            f"{row['bottleneck']} {row['busy'][row['bottleneck']]:.0%}",
        ]
        for row in result["rows"]
    ]
    corpus = result["corpus"]
    return [
        wrapped(
            f"`localembed index` over {corpus['files']} files of {corpus['name']}"
            f" ({corpus['bytes'] / 1e6:.1f} MB), processes from start to end. The static model has"
            " random weights: it shows what everything around a model takes. It is"
            f" {result['ratio']:.1f} times as fast."
        ),
        table(["model", "chunks", "time", "chunks/s", "peak memory", "busiest"], rows),
        source("python -m benchmarks.whole_run --corpus FOLDER --name NAME", result["machine"]),
    ]


def scaling(results: Sequence[Result]) -> list[str]:
    """Show what a chunk costs as the index grows."""
    result = results[0]
    rows = [
        [
            f"{row['chunks']:,}",
            f"{row['ms_per_chunk']:.2f} ms",
            f"{row['seconds_per_commit']:.2f} s",
            f"{row['peak_rss_mb']:,.0f} MB",
            f"{row['workspace_mb']:,.0f} MB",
            f"{row['no_change_seconds']:.2f} s",
            f"{median(row['query_text_seconds']):.1f} s",
            f"{median(row['query_vector_seconds']):.1f} s",
        ]
        for row in result["rows"]
    ]
    heads = [
        "chunks", "a chunk", "a commit", "peak memory", "disk", "nothing changed", "text query",
        "vector query",
    ]  # fmt: skip
    return [
        wrapped(
            "Made-up text and a model that costs nothing, with vectors of 32 numbers: what is left"
            f" is everything around a model. A chunk of the largest costs {result['ratio']:.2f}"
            " times one of 10,000. Times are whole processes."
        ),
        table(heads, rows),
        source("python -m benchmarks.scaling", result["machine"]),
    ]


def many_runs(results: Sequence[Result]) -> list[str]:
    """Show what many small runs leave behind."""
    result = results[0]
    times = [
        [name.replace("_", " "), f"{milliseconds:.1f} ms"]
        for name, milliseconds in result["query_p50_ms"].items()
    ]
    return [
        wrapped(
            f"{result['runs']:,} runs over {result['chunks']:,} chunks, each of one changed and one"
            f" added file, {result['seconds_a_run']:.2f} s each:"
            f" {result['versions_at_the_end']} versions can be gone back to. The workspace takes at"
            f" most {result['largest_disk_over_clean']:.2f} times the disk of a clean build, and"
            f" {result['disk_over_clean_after_gc']:.2f} times after `versions gc --keep 0`."
        ),
        table(["a query", "p50"], times),
        source("python -m benchmarks.many_runs", result["machine"]),
    ]


def one_line(results: Sequence[Result]) -> list[str]:
    """Show what cutting a document that is one line costs."""
    result = results[0]
    rows = [
        [
            f"{row['megabytes']} MB",
            f"{row['chunks']:,}",
            f"{row['megabytes_per_second']:.2f} MB/s",
            f"{row['peak_rss_mb']:,} MB",
        ]
        for row in result["rows"]
    ]
    return [
        "Chunked with the packaged model's tokenizer.",
        table(["document", "chunks", "speed", "peak memory"], rows),
        source("python -m benchmarks.one_line", result["machine"]),
    ]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; all but the first column stand to the right."""
    rule = "|".join(["---", *["---:"] * (len(head) - 1)])
    lines = [f"| {' | '.join(row)} |" for row in (head, *rows)]
    return "\n".join([lines[0], f"|{rule}|", *lines[1:]])


def source(command: str, machine: Result) -> str:
    """Return the line that every table stands with."""
    bf16 = "with" if machine["bf16"] else "without"
    gigabytes = int(machine["memory"].split()[0]) / 1e6
    versions = machine["packages"]
    return wrapped(
        f"`{command}` at {machine['commit']}, {machine['date']}: {machine['processor']},"
        f" {machine['cores']} cores {bf16} bf16, {gigabytes:.0f} GB, Python {machine['python']},"
        f" torch {versions['torch']}, sentence-transformers {versions['sentence-transformers']}."
    )


def wrapped(text: str, indent: str = "") -> str:
    """Break a paragraph between words, and never inside `code`."""
    lines, inside = [""], False
    for word in text.split(" "):
        line = f"{lines[-1]} {word}" if lines[-1] else word
        if inside or len(line) <= _WIDTH or not lines[-1]:
            lines[-1] = line
        else:
            lines.append(indent + word)
        inside ^= word.count("`") % 2 == 1
    return "\n".join(lines)


SECTIONS: tuple[Section, ...] = (
    Section("Against other tools", "peers-*.json", peers),
    Section("The engine again, in more rounds", "engine-*.json", peers),
    Section("How well the vectors rank", "quality-*.json", quality),
    Section("How well documents rank by their chunks", "ranking-*.json", ranking),
    Section("How well an identifier finds its file", "known-items.json", known_items),
    Section("Queries", "latency.json", latency),
    Section("Search over a million vectors", "vector-index.json", vector_index),
    Section("A whole run", "whole-run.json", whole_run),
    Section("Asking a server", "remote*.json", remote),
    Section("Memory against the size of the corpus", "memory.json", memory),
    Section("Growing to a million chunks", "scaling.json", scaling),
    Section("Many small runs", "many-runs.json", many_runs),
    Section("A document that is one line", "one-line.json", one_line),
)


if __name__ == "__main__":
    sys.exit(main())
