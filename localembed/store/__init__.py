"""Data on disk: `layout` names the files, `fsync` makes them durable.

`lance` stores the chunks (LanceDB), `manifest` the state of source files (DuckDB), `head` the
version that readers open, and `runs` a record of each run. The two stores never import each other.
"""
