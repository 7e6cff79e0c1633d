"""Models at a provider: `requests` groups texts, `pacing` waits, `client` sends, `reply` verifies.

`sending` retries, in halves where a text is refused, and `embedder` runs all of it in a thread of
its own, the only one that the offline guard lets out.
"""
