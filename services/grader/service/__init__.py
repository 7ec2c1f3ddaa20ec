"""Use cases of the grader."""
