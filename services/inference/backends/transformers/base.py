"""A base in memory with its adapters: what all subjects of one checkpoint folder share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event

from services.inference.backends.transformers.adapters import AdapterFolder, Adapters
from services.inference.backends.transformers.engine import Finished, Row
from services.inference.backends.transformers.loading import Loaded


@dataclass(slots=True, kw_only=True)
class Base:
    """A loaded model, its tokenizer and its adapters. Everything but `close` runs in the worker.

    Attributes:
        worker: The one thread that computes.
    """

    loaded: Loaded
    adapters: Adapters
    worker: ThreadPoolExecutor

    def run(
        self,
        adapter: AdapterFolder | None,
        rows: Sequence[Row],
        temperature: float,
        top_p: float | None,
        emit: Callable[[Finished], None],
        stop: Event,
    ) -> None:
        """One batch by one adapter; see `Engine.run`. Raises CandorError as `Adapters.use` does."""
        self.adapters.use(adapter)
        self.loaded.engine.run(rows, temperature, top_p, emit, stop)

    def logprobs(self, adapter: AdapterFolder | None, texts: Sequence[Sequence[int]]) -> list[list[float]]:
        """See `Engine.logprobs`, for each text. Raises CandorError as `Adapters.use` does."""
        self.adapters.use(adapter)
        return [self.loaded.engine.logprobs(tokens[: self.loaded.longest]) for tokens in texts]

    async def close(self) -> None:
        """Nothing is held beyond the object: whoever computes with it still has it."""
