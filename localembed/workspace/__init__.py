"""The workspace: settings, roots, tables, runs and queries.

This file is empty on purpose, so that a query's client and `--help` import only what they need.
"""
