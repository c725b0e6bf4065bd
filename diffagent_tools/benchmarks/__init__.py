"""Measurements as ratios to a named rival in the same run: `make bench`."""
