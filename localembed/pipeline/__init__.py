"""One run from folders to published vectors: `recipe` is the whole, the others are its steps."""

from localembed.pipeline.cleanup import clean_up, drop_table, show
from localembed.pipeline.dry_run import Estimate, estimate
from localembed.pipeline.recipe import Job, remove_documents, restore, run

__all__ = [
    "Estimate", "Job", "clean_up", "drop_table", "estimate", "remove_documents", "restore", "run",
    "show",
]  # fmt: skip
