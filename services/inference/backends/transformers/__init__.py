"""Checkpoints in local folders, on torch and transformers. Importing this package loads neither."""

from services.inference.backends.transformers.backend import TransformersBackend

__all__ = ["TransformersBackend"]
