"""One run from folders to published vectors: `recipe` is the whole, the others are its steps."""

from localembed.pipeline.recipe import Job, remove_documents, run

__all__ = ["Job", "remove_documents", "run"]
