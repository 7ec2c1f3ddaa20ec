"""The one client for OpenAI-compatible endpoints: adaptive concurrency, retries, honest errors.

Importing this package loads no SDK; the first call does.
"""

from chassis.llm.client import LlmClient, Policy
from chassis.llm.values import Completion, Endpoint, Probe, Sampling, Usage

__all__ = ["Completion", "Endpoint", "LlmClient", "Policy", "Probe", "Sampling", "Usage"]
