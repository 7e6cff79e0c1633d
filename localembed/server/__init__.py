"""A process that keeps an index open, and the client that asks it without importing Click.

What the client needs (`address`, `wire`, `client`) imports next to nothing: each module of the
standard library costs it milliseconds.
"""
