"""What lies on disk: `layout` names it, `durable` makes it survive, the rest is one file each.

`table` and `reader` hold the chunks (LanceDB), `manifest` what was seen of files (DuckDB), `head`
what readers open, `runs` what each run did. The two stores never see each other.
"""
