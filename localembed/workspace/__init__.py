"""A workspace put together: settings, roots, tables, runs, queries.

Empty on purpose: a query's client and `--help` import nothing that they do not need.
"""
