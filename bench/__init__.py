"""Measurements, printed as ratios against a named reference. `make bench`."""
