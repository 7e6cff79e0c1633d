"""One run from folders to published vectors: `run` is the whole, the others are its steps."""
