"""Checkpoints as subjects on supervised vLLM engines; subjects of one folder share one engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Hashable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from chassis.egress import Guard
from chassis.errors import CandorError, Reason
from chassis.llm.wire import Http
from chassis.metrics import Metrics
from services.inference.backends.files import (
    CheckpointFiles,
    Found,
    adapter_shapes,
    check_unchanged,
    checkpoint_of,
    read_adapter_config,
)
from services.inference.backends.vllm.engine import Adapter, Engine
from services.inference.backends.vllm.engines import Engines
from services.inference.backends.vllm.options import SERVED_NAME, Build, EngineOptions, installed
from services.inference.backends.vllm.passing import EngineMetrics
from services.inference.backends.vllm.subject import Served, VllmSubject
from services.inference.domain import adapters
from services.inference.domain.identity import of_checkpoint
from services.inference.domain.model import ModelSpec
from services.inference.ports import Subject


class VllmBackend:
    """Implements `ports.Backend`.

    Args:
        guard: Which folders may be opened.
        options: How engines are started.
        metrics: Retries are counted here, and the engines' own metrics passed on.
    """

    def __init__(self, guard: Guard, options: EngineOptions, metrics: Metrics) -> None:
        self._files = CheckpointFiles(guard)
        self._options = options
        self._metrics = metrics
        self._engines = Engines(options.max_engines)
        self._http = Http()
        metrics.registry.register(EngineMetrics(self._engines.running))

    async def fingerprint(self, spec: ModelSpec) -> Hashable:
        """See ports: path, size and time of every file."""
        return await self._files.fingerprint(spec)

    async def prepare(self, spec: ModelSpec, system_text: str) -> Subject:
        """See ports. Hashes the files; the engine is started at the first prompt."""
        build = installed(self._options)
        found = await asyncio.to_thread(self._files.find, checkpoint_of(spec))
        parts = await asyncio.to_thread(self._files.components, found)
        name = found.folder.name
        if found.adapter is not None:
            name = f"{name}+{found.adapter.name}"
            self._check_servable(read_adapter_config(found.adapter), adapter_shapes(found.adapter))
        return VllmSubject(
            identity=of_checkpoint({**parts, **self._options.for_build(build)}, spec.revision, system_text, "vllm"),
            name=name,
            system_text=system_text,
            serve=lambda: self._serve(build, found),
            http=self._http,
            attempt_seconds=self._options.attempt_seconds,
            on_retry=self._metrics.retried,
        )

    async def close(self) -> None:
        """End every engine and close the connections."""
        await self._engines.close()
        await self._http.close()

    @asynccontextmanager
    async def _serve(self, build: Build, found: Found) -> AsyncIterator[Served]:
        async with self._engines.use(found.folder, found.stamps, lambda: self._engine(build, found)) as engine:
            if found.adapter is None:
                yield Served(engine=engine, model=SERVED_NAME)
                return
            adapter = Adapter(path=found.adapter, stamps=found.adapter_stamps)
            async with engine.adapters.use(adapter.path, adapter.stamps, lambda: engine.load(adapter)) as loaded:
                yield Served(engine=engine, model=loaded.name)

    def _engine(self, build: Build, found: Found) -> Engine:
        check_unchanged(found.stamps, "model.checkpoint.path")
        options = self._options
        return Engine(
            lambda port: options.command(build, found.folder, port),
            lambda key: options.environment(build, key),
            self._http,
            start_seconds=options.start_seconds,
            stop_seconds=options.stop_seconds,
            max_adapters=options.max_adapters,
            max_concurrency=options.max_concurrency,
        )

    def _check_servable(self, config: Mapping[str, Any], tensors: adapters.Shapes) -> None:
        """Raise CandorError BAD_CHECKPOINT when the engine was not started for such an adapter."""
        where, variable = "model.checkpoint.adapter", "CANDOR_INFERENCE_VLLM__"
        if (found := adapters.rank(config)) > self._options.max_lora_rank:
            message = f"{where}: its rank is {found}, the engine takes {self._options.max_lora_rank}"
            raise CandorError(Reason.BAD_CHECKPOINT, f"{message}; raise {variable}MAX_LORA_RANK")
        if strange := sorted(adapters.targets(config, tensors) - set(self._options.lora_target_modules)):
            message = f"{where}: the engine was not started for {', '.join(strange[:3])}"
            raise CandorError(Reason.BAD_CHECKPOINT, f"{message}; extend {variable}LORA_TARGET_MODULES")
