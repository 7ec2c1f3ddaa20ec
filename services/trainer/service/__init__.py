"""Use cases of the trainer."""
