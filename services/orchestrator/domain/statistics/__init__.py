"""Paired statistics: intervals, tests, tables."""
