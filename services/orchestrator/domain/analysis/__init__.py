"""Analysis: what a paired contrast of two arms has to say, for the reports. Entry point: `compare.compare`."""
