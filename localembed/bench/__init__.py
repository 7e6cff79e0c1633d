"""Benchmark this machine: embedding speed, share of its peak rate, and the slowest stage."""
