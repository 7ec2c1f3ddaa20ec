"""Routes a source to the backend that writes for it."""

from __future__ import annotations

from collections.abc import Mapping

from services.rewriter.backends.writer_openai import OpenAiWriters
from services.rewriter.backends.writer_rules import RulesWriter
from services.rewriter.domain.values import EndpointSpec, SourceSpec
from services.rewriter.ports import Writer


class RoutedWriters:
    """Implements `ports.Writers`."""

    def __init__(self, rules: RulesWriter, endpoints: OpenAiWriters) -> None:
        self._rules = rules
        self._endpoints = endpoints

    async def components(self, spec: SourceSpec) -> Mapping[str, str]:
        """See ports."""
        if isinstance(spec, EndpointSpec):
            return await self._endpoints.components(spec)
        return self._rules.components()

    async def ready(self, spec: SourceSpec) -> Writer:
        """See ports."""
        return await self._endpoints.ready(spec) if isinstance(spec, EndpointSpec) else self._rules

    async def close(self) -> None:
        """Close connections."""
        await self._endpoints.close()
