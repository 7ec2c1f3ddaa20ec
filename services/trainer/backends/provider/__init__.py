"""Training at a provider: OpenAI-compatible fine-tuning APIs."""
