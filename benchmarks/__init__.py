"""Measurements, not tests: `python -m benchmarks` runs all of them, RESULTS.md says what they found."""
