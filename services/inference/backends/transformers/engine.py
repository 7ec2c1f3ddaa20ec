"""Batched generation with a KV cache: left-padded rows, each with its own limit, random numbers and end."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Event
from typing import TYPE_CHECKING, Any

from chassis.errors import CandorError, Reason
from services.inference.backends.transformers.drawing import choose, draws

if TYPE_CHECKING:
    import torch

_COMPACT_AT = 0.25  # share of finished rows at which they leave the batch: copying the cache costs about one step


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One prompt, tokenized."""

    index: int
    tokens: Sequence[int]
    seed: int
    max_new_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """New tokens of a row without its end token; `counted` includes it. `ended`: it came to an end token."""

    index: int
    tokens: Sequence[int]
    counted: int
    ended: bool
    seconds: float


class TooLargeError(Exception):
    """A batch does not fit into memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """A loaded model. Blocking: call it from one worker thread.

    Attributes:
        model: A causal language model in eval mode.
        ends: Token ids that end a reply.
        pad: Any token id; padding is masked.
    """

    model: Any
    ends: frozenset[int]
    pad: int
    _extra: dict[str, Any] = field(default_factory=dict, init=False)
    _takes_positions: bool = field(init=False)

    def __post_init__(self) -> None:
        """Look once at what the model's forward takes."""
        takes = inspect.signature(self.model.forward).parameters
        object.__setattr__(self, "_takes_positions", "position_ids" in takes)
        if "logits_to_keep" in takes:
            self._extra["logits_to_keep"] = 1

    def run(
        self,
        rows: Sequence[Row],
        temperature: float,
        top_p: float | None,
        emit: Callable[[Finished], None],
        stop: Event,
    ) -> None:
        """Generate for all rows as one batch; each leaves through `emit` when it ends. `stop` ends it early.

        Raises:
            TooLargeError: The device's memory does not hold the batch.
            CandorError: BAD_CHECKPOINT, when the model computes NaN.
        """
        import torch

        try:
            with torch.inference_mode():
                self._run(rows, temperature, top_p, emit, stop)
        except torch.OutOfMemoryError as error:
            torch.cuda.empty_cache()
            raise TooLargeError from error

    def logprobs(self, tokens: Sequence[int]) -> list[float]:
        """Log-probability of each token but the first, given those before it, in nats."""
        import torch

        with torch.inference_mode():
            ids = torch.tensor([list(tokens)], device=self.model.device)
            logits = self.model(input_ids=ids).logits[0, :-1].float()
            chances = logits.log_softmax(dim=-1).gather(-1, ids[0, 1:, None]).squeeze(-1)
            found: list[float] = chances.tolist()
            return found

    def _run(
        self,
        rows: Sequence[Row],
        temperature: float,
        top_p: float | None,
        emit: Callable[[Finished], None],
        stop: Event,
    ) -> None:
        import torch

        start = time.perf_counter()
        live = list(range(len(rows)))  # batch position -> row; None-like rows have ended but still sit in the batch
        replies: list[list[int]] = [[] for _ in rows]
        open_rows = set(live)
        uniform = draws([row.seed for row in rows], max(row.max_new_tokens for row in rows))
        tokens, mask, positions = self._padded(rows)
        cache = None
        step = 0
        while open_rows and not stop.is_set():
            output = self._forward(tokens, mask, positions, cache)
            cache = output.past_key_values
            logits = output.logits[:, -1]
            if bool(logits.isnan().any()):
                raise CandorError(Reason.BAD_CHECKPOINT, "the model computes NaN; try precision float32 or bfloat16")
            chosen = choose(logits, uniform[live, step], temperature, top_p)
            for place, token in enumerate(chosen.tolist()):
                number = live[place]
                if number not in open_rows:
                    continue
                ended = token in self.ends
                replies[number].append(token)
                if ended or len(replies[number]) >= rows[number].max_new_tokens:
                    open_rows.discard(number)
                    emit(_finished(rows[number], replies[number], ended=ended, since=start))
            tokens = chosen.unsqueeze(-1)
            crowded = len(open_rows) > (1 - _COMPACT_AT) * len(live)
            if open_rows and not crowded and hasattr(cache, "batch_select_indices"):
                keep = [place for place, number in enumerate(live) if number in open_rows]
                kept = torch.tensor(keep, device=tokens.device)
                cache.batch_select_indices(kept)
                tokens, mask, positions = tokens[kept], mask[kept], positions[kept]
                live = [live[place] for place in keep]
            mask = torch.cat([mask, mask.new_ones(len(live), 1)], dim=-1)
            positions = positions[:, -1:] + 1
            step += 1

    def _forward(self, tokens: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, cache: Any) -> Any:
        extra = dict(self._extra)
        if self._takes_positions:
            extra["position_ids"] = positions
        return self.model(input_ids=tokens, attention_mask=mask, past_key_values=cache, use_cache=True, **extra)

    def _padded(self, rows: Sequence[Row]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Token ids, mask and positions, [rows, longest], padded on the left."""
        import torch

        longest = max(len(row.tokens) for row in rows)
        tokens = torch.full((len(rows), longest), self.pad, dtype=torch.long)
        mask = torch.zeros((len(rows), longest), dtype=torch.long)
        for place, row in enumerate(rows):
            tokens[place, longest - len(row.tokens) :] = torch.tensor(row.tokens)
            mask[place, longest - len(row.tokens) :] = 1
        positions = (mask.cumsum(dim=-1) - 1).clamp(min=0)
        device = self.model.device
        return tokens.to(device), mask.to(device), positions.to(device)


def _finished(row: Row, reply: list[int], *, ended: bool, since: float) -> Finished:
    return Finished(
        index=row.index,
        tokens=reply[:-1] if ended else reply,
        counted=len(reply),
        ended=ended,
        seconds=time.perf_counter() - since,
    )
