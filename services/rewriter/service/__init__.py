"""Use cases of the rewriter."""
