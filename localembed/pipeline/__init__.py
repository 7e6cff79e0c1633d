"""One run, from folders to published vectors: `run` is the whole, the other modules its steps."""
