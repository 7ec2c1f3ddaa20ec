"""Backends: torch SocioT and the LLM judge."""
