"""When an arm counts as gone: nothing comes from it any more, and what failed says something of the endpoint."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

from chassis.errors import CandorError, Reason
from services.orchestrator.service.run.state import Run

# Failures that say something of the endpoint and nothing of the prompt.
_ENDPOINT_TROUBLE = frozenset(
    {
        Reason.ENDPOINT_UNAVAILABLE,
        Reason.ENDPOINT_TIMEOUT,
        Reason.ENDPOINT_UNAUTHENTICATED,
        Reason.RATE_LIMITED,
        Reason.SERVICE_UNAVAILABLE,
        Reason.DEADLINE_EXCEEDED,
        Reason.MODEL_NOT_FOUND,
        Reason.CREDENTIAL_MISSING,
    }
)


class Patience:
    """Watches the outcomes of all arms.

    A run that was interrupted may have only calls left that always fail. An arm that replied in an earlier execution and
    not yet in this one is therefore asked the probe question before it counts as gone.

    Args:
        run: The run.
        end: Ends the run; it can go on later from where it is.
    """

    def __init__(self, run: Run, end: Callable[[CandorError], None]) -> None:
        self._run = run
        self._end = end
        self._silent: Counter[str] = Counter()
        self._replied: set[str] = set()
        self._trouble: dict[str, CandorError] = {}
        self._probes: dict[str, asyncio.Task[None]] = {}

    def replied(self, arm: str) -> None:
        """A reply came."""
        self._silent[arm] = 0
        self._replied.add(arm)

    def failed(self, arm: str, error: CandorError) -> None:
        """A call failed. Raises CandorError when the arm is gone."""
        if error.reason not in _ENDPOINT_TROUBLE:
            return
        self._silent[arm] += 1
        self._trouble[arm] = error
        if self._silent[arm] % self._run.world.limits.silent_calls:
            return
        if arm in self._replied or not self._replied_before(arm):
            raise self._gone(arm)
        if arm not in self._probes:
            self._probes[arm] = asyncio.create_task(self._probe(arm))

    async def settled(self, arm: str) -> None:
        """Return once it is known whether an arm in doubt is there."""
        if arm in self._probes:
            await asyncio.wait({self._probes[arm]})

    async def check(self) -> None:
        """Nothing more is asked for now. Raises CandorError for an arm of which only trouble came."""
        for arm in self._trouble:
            await self.settled(arm)
            if arm not in self._replied and not (self._replied_before(arm) and await self._answers(arm)):
                raise self._gone(arm)

    async def close(self) -> None:
        """Stop probing."""
        for probe in self._probes.values():
            probe.cancel()
        await asyncio.gather(*self._probes.values(), return_exceptions=True)

    async def _probe(self, arm: str) -> None:
        if not await self._answers(arm):
            self._end(self._gone(arm))
        del self._probes[arm]

    async def _answers(self, arm: str) -> bool:
        subject = self._run.subject(arm)
        try:
            await self._run.world.inference.check(subject.arm, subject.found.sampling)
        except CandorError:
            return False
        return True

    def _replied_before(self, arm: str) -> bool:
        return self._run.teller.counts.arms[arm].done > 0

    def _gone(self, arm: str) -> CandorError:
        error = self._trouble[arm]
        message = f"arm {arm}: the last {self._silent[arm]} calls had no answer: {error.message}"
        return CandorError(error.reason, message, metadata=error.metadata)
