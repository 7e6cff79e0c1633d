"""`localembed index`."""

from __future__ import annotations

from typing import Any

import click

from localembed.cli.malloc import limit_arenas
from localembed.cli.options import AMOUNT, Common, NamedPath, common, model_names
from localembed.cli.render.dry_run import preview_text
from localembed.cli.render.output import echo, echo_json
from localembed.cli.render.progress import IndexProgress
from localembed.cli.render.run_report import index_problems, index_report
from localembed.embedding import ENGINES, PRECISIONS
from localembed.server.embedding_client import ResidentEmbedding
from localembed.types import json_forms
from localembed.workspace.tables import is_remote

_ROOT_OPTIONS = ("include", "exclude", "hidden", "no_ignore")


@click.command()
@click.argument("paths", nargs=-1, type=NamedPath())
@click.option(
    "--include", multiple=True, metavar="GLOB", help="Index only matching files; repeatable."
)
@click.option("--exclude", multiple=True, metavar="GLOB", help="Skip matching files; repeatable.")
@click.option("--hidden/--no-hidden", default=None, help="Include names that begin with a dot.")
@click.option(
    "--no-ignore/--ignore",
    default=None,
    help="Include what .gitignore and the default rules exclude.",
)
@click.option(
    "--model", metavar="NAME", shell_complete=model_names, help="See: localembed models list."
)
@click.option(
    "--preset",
    type=click.Choice(["rag", "search", "kb"]),
    help="Chunks of up to 500, 800 or 1,000 tokens, within the model's limit.",
)
@click.option("--chunk-tokens", metavar="N", help="Maximum tokens per chunk.")
@click.option("--overlap", metavar="N", help="Tokens repeated from the previous chunk.")
@click.option("--dim", metavar="N", help="Vector dimensions, if the model supports fewer.")
@click.option(
    "--vector-type",
    type=click.Choice(["float16", "float32"]),
    help="Data type of stored vectors.",
)
@click.option("--device", metavar="NAME", help="auto, cpu, cuda, cuda:N or mps.")
@click.option("--precision", type=click.Choice(PRECISIONS), help="Compute precision.")
@click.option(
    "--engine",
    type=click.Choice(ENGINES),
    help="Inference engine; auto picks the fastest available.",
)
@click.option("--batch-tokens", metavar="N", help="Padded tokens per forward pass.")
@click.option("--threads", metavar="N", help="CPU threads for inference.")
@click.option("--max-file-size", metavar="SIZE", help="Skip larger files (default 32MiB).")
@click.option("--retry-failed", is_flag=True, help="Retry passages that have no vector yet.")
@click.option("--dry-run", is_flag=True, help="Show what would be embedded, and the cost.")
@click.option(
    "--max-cost",
    type=AMOUNT,
    metavar="USD",
    help="Stop before a remote model costs more than this.",
)
@click.option(
    "--allow-network", is_flag=True, default=None, help="Allow requests to a remote model."
)
@click.option("--verify", is_flag=True, help="Read every file, even if its times are unchanged.")
@click.option(
    "--allow-mass-delete",
    is_flag=True,
    help="Remove files even if a whole folder seems to be missing.",
)
@click.option("--wait", is_flag=True, help="Wait until no other localembed is writing.")
@common
def index(
    options: Common,
    paths: tuple[str, ...],
    retry_failed: bool,
    dry_run: bool,
    max_cost: float | None,
    verify: bool,
    allow_mass_delete: bool,
    wait: bool,
    **given: Any,  # noqa: ANN401 - click passes the options declared above
) -> int:
    """Index PATHS, or update everything that was indexed before.

    Only changed files are read, and only new text is embedded. PATHS and their options are
    remembered, so later a plain `localembed index` is enough.
    """
    root_options = {name: given.pop(name) for name in _ROOT_OPTIONS}
    root_options |= {name: None for name, value in root_options.items() if value == ()}
    workspace = options.workspace(given)
    workspace.name_roots(paths, root_options)
    limit_arenas(return_blocks=is_remote(workspace.settings, workspace.layout))
    with IndexProgress(enabled=not options.quiet) as progress:
        if dry_run:
            found = workspace.preview(paths, options=root_options, on_event=progress)
            progress.close()
            if options.as_json:
                echo_json(json_forms.preview_json(found))
            else:
                echo(preview_text(found))
            return 0
        report = workspace.index(
            paths,
            options=root_options,
            verify=verify,
            allow_mass_delete=allow_mass_delete,
            retry_failed=retry_failed,
            max_cost=max_cost,
            wait=wait,
            embedding_service=ResidentEmbedding(),
            on_event=progress,
            on_notice=options.notice,
        )
    if options.as_json:
        echo_json(json_forms.report_json(report))
    elif not options.quiet:
        echo(index_report(report))
    elif problems := index_problems(report):
        echo(problems, err=True)
    return report.exit_code
