"""Fit the confidence of hits, and measure it on questions that it was not fitted to."""
