"""One step of a resource towards what it asks for. It may be taken at any moment, after any crash, and be taken again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from candor_operator.domain.absorbing import Answer, Notice, answered, failed, notices, stopped
from candor_operator.domain.calls import Call, Cancel, Find
from candor_operator.domain.deciding import next_call, settled, stopping_call, told
from candor_operator.domain.resource import Resource, read_resource
from candor_operator.domain.status import Status, merge_patch, read_status, status_fields
from chassis.errors import CandorError, Reason


class Calls(Protocol):
    """Whom a step may call; see `Orchestrator`."""

    async def carry_out(self, call: Call, resource: Resource | None = None) -> Answer:
        """The evaluation after the call."""


class Objects(Protocol):
    """Where a status is written; see `Cluster`."""

    async def write_status(self, body: Mapping[str, Any], patch: Mapping[str, Any]) -> Mapping[str, Any]:
        """The object after a merge patch of its status; NotWritten where it is not as `body` has it any more."""


class Unstopped(Exception):  # noqa: N818  # not an error of ours: the caller tries again
    """The evaluation of a deleted resource could not be stopped yet; the text says why."""


@dataclass(slots=True)
class _Memory:
    """What is remembered of a resource from step to step. Losing it costs a poll and nothing else."""

    generation: int = 0
    failures: int = 0
    not_before: float = 0.0
    written: Mapping[str, Any] | None = None
    under_way: asyncio.Future[Answer] | None = None
    deleted: bool = False

    def at_once(self) -> None:
        """The next call is due now."""
        self.failures, self.not_before = 0, 0.0


class Reconciler:
    """Takes steps.

    Args:
        calls: The orchestrator.
        objects: The API server.
        poll_seconds: Between two looks at a running evaluation.
        retry_seconds: The longest wait after a call that failed.
        now: The time of day.
        clock: Seconds that only rise.
    """

    def __init__(
        self,
        calls: Calls,
        objects: Objects,
        *,
        poll_seconds: float,
        retry_seconds: float,
        now: Callable[[], datetime],
        clock: Callable[[], float],
    ) -> None:
        self._calls = calls
        self._objects = objects
        self._poll_seconds = poll_seconds
        self._retry_seconds = retry_seconds
        self._now = now
        self._clock = clock
        self._memories: dict[str, _Memory] = {}

    async def step(self, body: Mapping[str, Any]) -> Sequence[Notice]:
        """Take the next step of a resource that is not being deleted; returns what is to be told of it.

        The step is a change of the status that follows from the resource alone, or one call and what came of it.
        """
        memory = self._memory(body["metadata"]["uid"])
        if memory.deleted:
            return ()
        body = _latest(body, memory)
        resource = read_resource(body)
        status = read_status(body.get("status") or {})
        if memory.generation != resource.generation:
            memory.generation = resource.generation
            memory.at_once()
        after = settled(resource, status, self._now())
        if after.request_id != status.request_id:
            memory.at_once()
        if after == status:
            call = next_call(resource, status)
            if call is None or self._clock() < memory.not_before:
                return ()
            after = await self._called(resource, status, call, memory)
        patch = merge_patch(body.get("status") or {}, status_fields(after))
        if patch:
            memory.written = await self._objects.write_status(body, patch)
        return tuple(notices(resource, status, after, self._now()))

    async def stop(self, body: Mapping[str, Any]) -> Notice | None:
        """Stop what a deleted resource has running; returns what became of it, None where nothing ran.

        Raises:
            Unstopped: Try again.
        """
        uid = body["metadata"]["uid"]
        memory = self._memory(uid)
        memory.deleted = True
        if memory.under_way is not None:  # an answer that comes later would start what nobody stops
            memory.under_way.cancel()
            await asyncio.wait([memory.under_way])
        call = stopping_call(read_status(_latest(body, memory).get("status") or {}), uid)
        try:
            if isinstance(call, Find):
                found = await self._calls.carry_out(call)
                call = None if found is None else Cancel(found.name, uid)
            if not isinstance(call, Cancel):
                return None
            answer = await self._calls.carry_out(call)
        except CandorError as error:
            if error.reason is Reason.EVALUATION_NOT_FOUND:
                return None
            raise Unstopped(told(error)) from error
        assert answer is not None
        return stopped(call, answer, "its resource is deleted")

    def forget(self, uid: str) -> None:
        """The resource is gone."""
        self._memories.pop(uid, None)

    async def _called(self, resource: Resource, status: Status, call: Call, memory: _Memory) -> Status:
        memory.under_way = asyncio.ensure_future(self._calls.carry_out(call, resource))
        try:
            await asyncio.wait([memory.under_way])
        finally:
            memory.under_way.cancel()
            done, memory.under_way = memory.under_way, None
        if done.cancelled():  # the resource is being deleted
            return status
        error = done.exception()
        if isinstance(error, CandorError):
            after = failed(resource, status, call, error, self._now())
        else:
            after = answered(resource, status, call, done.result(), self._now())
        self._pace(status, after, memory)
        return after

    def _pace(self, before: Status, after: Status, memory: _Memory) -> None:
        """When the next call is due: at the poll's pace, and later after each failure."""
        if after.phase == "Retrying" or any(each.status == "Unknown" for each in after.conditions.values()):
            memory.failures += 1
        elif after.phase != "Running" or after.progress != before.progress:
            memory.failures = 0
        wait = self._poll_seconds * 2 ** min(memory.failures, 16)
        memory.not_before = self._clock() + min(wait, max(self._retry_seconds, self._poll_seconds))

    def _memory(self, uid: str) -> _Memory:
        return self._memories.setdefault(uid, _Memory())


def _latest(body: Mapping[str, Any], memory: _Memory) -> Mapping[str, Any]:
    """The object that the watch has brought, or as it was after the last write where the watch has not brought that back yet."""
    if memory.written is None or _version(body) >= _version(memory.written):
        return body
    return memory.written


def _version(body: Mapping[str, Any]) -> int:
    return int(body["metadata"]["resourceVersion"])
