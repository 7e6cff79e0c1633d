"""Render results as text for a terminal and as formats for other programs."""
