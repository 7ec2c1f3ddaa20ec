"""Everything outside that the use cases need, handed to each of them."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar

from chassis.errors import CandorError
from services.orchestrator.ports import Artifacts, Codec, Grader, Inference, Ledger, Reporter, Tasks
from services.orchestrator.ports.making import ConversationFiles, Materials, Rewriter, Trainer

Params = ParamSpec("Params")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much is done at once.

    Attributes:
        window: Calls under way per arm.
        batch: Prompts in one request to inference.
        grade_batch: Replies in one request to the grader.
        grade_streams: Requests to the grader under way.
        commit_items: Outcomes that are written at once at most.
        commit_seconds: Longest wait of an outcome before it is written.
        event_seconds: Least time between two progress events.
        silent_calls: So many outcomes of an arm in a row without a reply stop the run.
        settle_seconds: Longest wait for the calls of the other arms when one arm stops the run.
    """

    window: int = 256
    batch: int = 64
    grade_batch: int = 64
    grade_streams: int = 4
    commit_items: int = 256
    commit_seconds: float = 0.1
    event_seconds: float = 0.5
    silent_calls: int = 32
    settle_seconds: float = 5.0


class Bell:
    """Wakes those who watch an evaluation in this process when it has news."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Event]] = defaultdict(set)

    def ring(self, evaluation_id: str) -> None:
        """There is news."""
        for event in self._waiting.get(evaluation_id, ()):
            event.set()

    async def wait(self, evaluation_id: str, seconds: float) -> None:
        """Return at the next ring, or after so many seconds."""
        event = asyncio.Event()
        self._waiting[evaluation_id].add(event)
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            pass
        finally:
            self._waiting[evaluation_id].discard(event)
            if not self._waiting[evaluation_id]:
                del self._waiting[evaluation_id]


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The ports, and what belongs to the process.

    Attributes:
        rewriter: None where none is set up; then no arm can be made. So for the three that follow.
        starting: Held while an evaluation is found or made and started: two equal requests become one run.
        unrecorded: Why a run of this process ended, where the ledger could not be told; watchers are told instead.
        clock: Unix time.
        new_id: A fresh evaluation id: letters, digits and `-`.
    """

    ledger: Ledger
    inference: Inference
    grader: Grader
    tasks: Tasks
    artifacts: Artifacts
    reporter: Reporter
    codec: Codec
    rewriter: Rewriter | None = None
    trainer: Trainer | None = None
    conversations: ConversationFiles | None = None
    materials: Materials | None = None
    limits: Limits = field(default_factory=Limits)
    bell: Bell = field(default_factory=Bell)
    starting: asyncio.Lock = field(default_factory=asyncio.Lock)
    unrecorded: dict[str, CandorError] = field(default_factory=dict)
    clock: Callable[[], float] = time.time
    new_id: Callable[[], str] = lambda: time.strftime("%Y%m%d-%H%M%S-", time.gmtime()) + uuid.uuid4().hex[:8]


async def blocking(function: Callable[Params, Result], *args: Params.args, **kwargs: Params.kwargs) -> Result:
    """Run a blocking function of a port beside the event loop."""
    return await asyncio.to_thread(function, *args, **kwargs)
