"""Models at a provider: `requests` groups texts, `pacing` waits, `client` sends, `reply` verifies.

`sending` retries, in halves if a text is rejected, and `embedder` runs all of it in its own thread,
the only one that the offline guard lets through.
"""
