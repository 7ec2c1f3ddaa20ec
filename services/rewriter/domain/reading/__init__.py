"""Conversation files, read as their bytes arrive: bytes -> rows -> conversations."""
