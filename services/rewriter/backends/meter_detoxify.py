"""Toxicity by Detoxify (optional: `pip install '.[toxicity]'`), from a local checkpoint or its own default.

Without a checkpoint the package downloads one when it is first used; on machines without network set
CANDOR_REWRITER_DETOXIFY_CHECKPOINT to a file and CANDOR_REWRITER_DETOXIFY_CONFIG to the folder of the model's configuration.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from chassis.errors import CandorError, Reason

_HINT = "pip install '.[toxicity]', or set toxicity to lexical or none"
_LONGEST_CHARS = 4_000  # the classifier reads 512 tokens; the rest would only cost time
_BATCH = 16


class DetoxifyMeters:
    """Loads the classifier once, when it is first asked for.

    Args:
        model: `original`, `unbiased` or `multilingual`.
        checkpoint: A local checkpoint file; None: the package's default.
        config: A local folder with tokenizer and configuration of the base model; needed offline.
        threads: Threads of torch; 0 leaves its own choice.
    """

    def __init__(self, model: str, checkpoint: Path | None, config: Path | None, threads: int = 0) -> None:
        self._model = model
        self._checkpoint = checkpoint
        self._config = config
        self._threads = threads
        self._loading = asyncio.Lock()
        self._meter: DetoxifyMeter | None = None

    async def ready(self) -> DetoxifyMeter:
        """The meter. Raises CandorError BACKEND_MISSING."""
        async with self._loading:
            if self._meter is None:
                self._meter = DetoxifyMeter(await asyncio.to_thread(self._load), self._model)
        return self._meter

    def _load(self) -> Any:
        if self._checkpoint is not None and not self._checkpoint.is_file():
            message = f"toxicity detoxify: there is no checkpoint file {self._checkpoint.name}"
            raise CandorError(Reason.BACKEND_MISSING, f"{message}; mend detoxify_checkpoint of this server")
        try:
            import torch
            from detoxify import Detoxify
        except ImportError as error:
            message = f"toxicity detoxify needs a package that is not installed: {_HINT}"
            raise CandorError(Reason.BACKEND_MISSING, message) from error
        if self._threads:
            torch.set_num_threads(self._threads)
        source: dict[str, Any] = {}
        if self._checkpoint is not None:
            source["checkpoint"] = str(self._checkpoint)
        if self._config is not None:
            source["huggingface_config_path"] = str(self._config)
        try:
            return Detoxify(self._model, **source)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            message = f"toxicity detoxify: its checkpoint {self._model} could not be loaded or downloaded"
            hint = "set detoxify_checkpoint and detoxify_config of this server to local files, or use lexical"
            raise CandorError(Reason.BACKEND_MISSING, f"{message}; {hint}") from error


class DetoxifyMeter:
    """Implements `ports.Meter`: the score `toxicity`, the highest over the turns."""

    def __init__(self, model: Any, name: str) -> None:
        self._model = model
        self._name = name
        self._one_at_a_time = asyncio.Lock()

    @property
    def method(self) -> str:
        """See ports."""
        return f"detoxify/{self._name}"

    async def scores(self, conversations: Sequence[Sequence[str]]) -> Sequence[float]:
        """See ports."""
        async with self._one_at_a_time:
            return await asyncio.to_thread(self._scores, conversations)

    def _scores(self, conversations: Sequence[Sequence[str]]) -> list[float]:
        texts = [text[:_LONGEST_CHARS] for texts in conversations for text in texts]
        order = sorted(range(len(texts)), key=lambda place: len(texts[place]))  # neighbours pad each other least
        values = [0.0] * len(texts)
        for start in range(0, len(order), _BATCH):
            places = order[start : start + _BATCH]
            found = self._model.predict([texts[place] for place in places])["toxicity"]
            for place, value in zip(places, found, strict=True):
                values[place] = min(1.0, max(0.0, float(value)))
        rest = iter(values)
        return [max((next(rest) for _ in texts), default=0.0) for texts in conversations]
