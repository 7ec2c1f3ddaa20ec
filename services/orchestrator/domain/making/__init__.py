"""Decisions on the way from a conversation file to a trained arm, as pure functions."""
