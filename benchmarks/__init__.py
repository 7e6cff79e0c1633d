"""Measurements that are run by hand: each module says how. Nothing here is a test."""
