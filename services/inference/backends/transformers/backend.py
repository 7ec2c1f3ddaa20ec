"""Checkpoints as subjects: hashed when named, loaded at the first prompt, run in one worker thread.

Subjects of one folder share one base in memory, whatever their adapters and system prompts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from chassis.egress import Guard
from services.inference.backends.files import CheckpointFiles, Found, check_unchanged, checkpoint_of
from services.inference.backends.transformers import loading
from services.inference.backends.transformers.adapters import AdapterFolder, Adapters
from services.inference.backends.transformers.base import Base
from services.inference.backends.transformers.subject import CheckpointSubject
from services.inference.domain.identity import of_checkpoint
from services.inference.domain.model import ModelSpec
from services.inference.ports import Subject
from services.inference.service.prepared import Prepared

Result = TypeVar("Result")


class TransformersBackend:
    """Implements `ports.Backend`.

    Args:
        guard: Which folders may be opened.
        device: `auto`, `cpu`, `cuda`.
        precision: `auto` (float32 on CPU, bfloat16 on GPU) or a torch dtype's name.
        batch_rows: Prompts answered at once.
        torch_threads: 0 leaves torch's choice.
        max_bases: Bases kept in memory.
        max_adapters: Adapters kept in memory beside each base.
    """

    def __init__(
        self,
        guard: Guard,
        *,
        device: str = "auto",
        precision: str = "auto",
        batch_rows: int = 32,
        torch_threads: int = 0,
        max_bases: int = 2,
        max_adapters: int = 8,
    ) -> None:
        self._files = CheckpointFiles(guard)
        self._device = device
        self._precision = precision
        self._batch_rows = batch_rows
        self._torch_threads = torch_threads
        self._max_adapters = max_adapters
        self._bases: Prepared[Base] = Prepared(max_bases)
        # One thread: one model computes at a time, and the event loop never waits for torch.
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="torch")

    async def fingerprint(self, spec: ModelSpec) -> Hashable:
        """See ports: path, size and time of every file."""
        return await self._files.fingerprint(spec)

    async def prepare(self, spec: ModelSpec, system_text: str) -> Subject:
        """See ports. Hashes the files; the weights are loaded later."""
        found = await asyncio.to_thread(self._files.find, checkpoint_of(spec))
        parts = await asyncio.to_thread(self._files.components, found)
        device, precision = await self._in_worker(self._place)
        parts |= {"engine": await self._in_worker(lambda: loading.engine_name(device)), "precision": precision}
        return CheckpointSubject(
            identity=of_checkpoint(parts, spec.revision, system_text),
            name=found.folder.name if found.adapter is None else f"{found.folder.name}+{found.adapter.name}",
            system_text=system_text,
            base=lambda: self._bases.use(
                found.folder, found.stamps, lambda: self._in_worker(lambda: self._load(found, device, precision))
            ),
            adapter=AdapterFolder(path=found.adapter, stamps=found.adapter_stamps) if found.adapter else None,
            batch_rows=self._batch_rows,
        )

    async def close(self) -> None:
        """End the worker thread; what runs ends with its current step."""
        await self._bases.close()
        await asyncio.to_thread(self._worker.shutdown)

    def _load(self, found: Found, device: str, precision: str) -> Base:
        check_unchanged(found.stamps, "model.checkpoint.path")
        loaded = loading.load(found.folder, device, precision)
        return Base(loaded=loaded, adapters=Adapters(loaded.engine.model, self._max_adapters), worker=self._worker)

    def _place(self) -> tuple[str, str]:
        placed = loading.place(self._device, self._precision)
        if self._torch_threads:
            import torch

            torch.set_num_threads(self._torch_threads)
        return placed

    async def _in_worker(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._worker, work)
