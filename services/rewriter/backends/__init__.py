"""Backends of the rewriter."""
