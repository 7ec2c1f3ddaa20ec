"""The processes that `benchmarks.end_to_end` starts and compares."""
