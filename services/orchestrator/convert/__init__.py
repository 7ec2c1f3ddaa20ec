"""Protos <-> domain values. Nothing is decided here."""
