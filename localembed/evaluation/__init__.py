"""Evaluate how well an index ranks, using questions with known answers in every mode."""
