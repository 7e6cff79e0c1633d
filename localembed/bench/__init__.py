"""Measuring this machine: how fast it embeds, how close to its limit that is, and what is slow."""
