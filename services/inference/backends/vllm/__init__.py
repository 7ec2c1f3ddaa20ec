"""Checkpoints on a supervised vLLM server. Importing this package loads neither vLLM nor torch."""

from services.inference.backends.vllm.backend import VllmBackend
from services.inference.backends.vllm.options import EngineOptions

__all__ = ["EngineOptions", "VllmBackend"]
