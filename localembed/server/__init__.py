"""A resident process that keeps an index open, and its client, which does not import Click.

The client's modules (`address`, `wire`, `client`) import almost nothing: each module of the
standard library costs milliseconds.
"""
