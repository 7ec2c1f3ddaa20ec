"""Backends: what actually generates."""
