"""Backends of the trainer: files, the training process, providers' APIs."""
