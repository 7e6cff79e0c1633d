"""One run from folders to published vectors: `run` is the recipe, the others are its steps."""

from localembed.pipeline.run import Job, remove_documents, run

__all__ = ["Job", "remove_documents", "run"]
