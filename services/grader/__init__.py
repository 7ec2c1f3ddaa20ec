"""Grade answers and score texts."""
