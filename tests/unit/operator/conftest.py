"""A world without sockets: an API server and an orchestrator that keep what they are told, and a clock that tests move."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from candor.orchestrator.v1 import evaluation_pb2, orchestrator_pb2

from candor_operator.cluster import NotWritten
from candor_operator.domain.absorbing import Answer, Notice
from candor_operator.domain.calls import Call, Cancel, Create, Find
from candor_operator.domain.resource import Resource, read_resource
from candor_operator.domain.status import Status, read_status
from candor_operator.reconciler import Reconciler
from chassis.errors import CandorError, Reason

Body = dict[str, Any]
START = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
CLOSED = ("SUCCEEDED", "FAILED", "CANCELLED")


class Crashed(Exception):  # noqa: N818  # as a sentence reads
    """The operator's process ended here."""


def spec(**changes: Any) -> Body:
    """Of a resource."""
    arms = {name: {"endpoint": {"base_url": f"http://{name}:8000/v1", "model": "bot"}} for name in ("v1", "v2")}
    return {"arms": arms, "baseline": "v1", **changes}


@dataclass
class FakeOrchestrator:
    """Keeps evaluations as the real one does: found by request id, resumed when they failed or were cancelled."""

    evaluations: dict[str, orchestrator_pb2.Evaluation] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    trouble: CandorError | None = None
    crash: bool = False  # once, after the next call was carried out
    slow_to_stop: bool = False
    meanwhile: Callable[[], None] | None = None  # once, while the next call is under way

    async def carry_out(self, call: Call, resource: Resource | None = None) -> Answer:
        self.calls.append(call)
        if self.meanwhile is not None:
            happens, self.meanwhile = self.meanwhile, None
            happens()
        if self.trouble is not None:
            raise self.trouble
        answer = self._answer(call, resource)
        if self.crash:
            self.crash = False
            raise Crashed
        return answer

    def _answer(self, call: Call, resource: Resource | None) -> Answer:
        if isinstance(call, Create):
            assert resource is not None
            spec = resource.evaluation_spec()
            found = self.by_request(call.request_id)
            if found is None and call.reuse:  # the newest of this document, where it has no verdict
                same = [each for each in self.evaluations.values() if each.spec == spec]
                found = same[-1] if same and same[-1].state != "SUCCEEDED" else None
            if found is None:
                found = self._start(spec, call.request_id)
            elif found.state in ("FAILED", "CANCELLED"):
                found.state = "PENDING"
            return copy.deepcopy(found)
        if isinstance(call, Find):
            mine = [each for each in self.evaluations.values() if each.request_id.startswith(f"{call.uid}-")]
            running = [each for each in mine if each.state not in CLOSED]
            return copy.deepcopy(self.by_request(call.request_id) or next(iter(running), None))
        found = self.evaluations.get(call.evaluation)
        if found is None:
            raise CandorError(Reason.EVALUATION_NOT_FOUND, f"there is no {call.evaluation}")
        mine = isinstance(call, Cancel) and found.request_id.startswith(f"{call.uid}-")
        if mine and found.state not in CLOSED:
            found.state = "RUNNING" if self.slow_to_stop else "CANCELLED"
        return copy.deepcopy(found)

    def start_for_somebody_else(self, body: Body) -> None:
        """As a command line that is given the same document."""
        self._start(read_resource(body).evaluation_spec(), "somebody else's")

    def _start(self, spec: evaluation_pb2.EvaluationSpec, request_id: str) -> orchestrator_pb2.Evaluation:
        name = f"evaluations/e{len(self.evaluations) + 1}"
        found = orchestrator_pb2.Evaluation(name=name, spec=spec, request_id=request_id, state="PENDING")
        self.evaluations[name] = found
        return found

    def by_request(self, request_id: str) -> orchestrator_pb2.Evaluation | None:
        return next((each for each in self.evaluations.values() if each.request_id == request_id), None)

    def last(self) -> orchestrator_pb2.Evaluation:
        return list(self.evaluations.values())[-1]

    def conclude(self, verdict: str = "PASS", reason: str = "nothing is worse", at: datetime = START) -> None:
        found = self.last()
        found.state, found.verdict, found.reason = "SUCCEEDED", verdict, reason
        found.update_time.FromDatetime(at.replace(tzinfo=None))

    def fail(self, reason: Reason) -> None:
        found = self.last()
        found.state, found.failure_reason, found.reason = "FAILED", reason.name, "it broke"


@dataclass
class World:
    """One resource, the server that has it, and the operator; `restart` loses what the operator had in memory."""

    orchestrator: FakeOrchestrator = field(default_factory=FakeOrchestrator)
    body: Body = field(default_factory=dict)
    now: datetime = START
    refuse_write: bool = False
    told: list[Notice] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._versions = itertools.count(1)
        self._uids = itertools.count(1)
        self.restart()

    def restart(self) -> None:
        self.reconciler = Reconciler(
            self.orchestrator,
            self,
            poll_seconds=5,
            retry_seconds=300,
            now=lambda: self.now,
            clock=self._seconds,
        )

    def _seconds(self) -> float:
        return self.now.timestamp()

    def create(self, **changes: Any) -> None:
        meta = {"name": "nightly", "namespace": "candor", "uid": f"uid{next(self._uids)}", "generation": 1}
        meta |= {"creationTimestamp": self.now.isoformat(), "resourceVersion": str(next(self._versions))}
        self.body = {"metadata": meta, "spec": spec(**changes)}

    def change(self, **changes: Any) -> None:
        """As `kubectl apply` of another spec."""
        wanted = spec(**changes)
        if wanted != self.body["spec"]:
            meta = self.body["metadata"]
            meta = meta | {"generation": meta["generation"] + 1, "resourceVersion": str(next(self._versions))}
            self.body = self.body | {"metadata": meta, "spec": wanted}

    async def write_status(self, body: Mapping[str, Any], patch: Mapping[str, Any]) -> Mapping[str, Any]:
        if self.refuse_write:
            self.refuse_write = False
            raise NotWritten("the server is away")
        if body["metadata"]["resourceVersion"] != self.body["metadata"]["resourceVersion"]:
            raise NotWritten("409 the object has been modified")
        status = {**self.body.get("status", {}), **patch}
        status = {name: value for name, value in status.items() if value is not None}
        meta = self.body["metadata"] | {"resourceVersion": str(next(self._versions))}
        self.body = self.body | {"metadata": meta, "status": status}
        return self.body

    async def step(self, times: int = 1) -> None:
        """Steps, with a poll's time between them."""
        for _ in range(times):
            self.told += await self.reconciler.step(self.body)
            self.now += timedelta(seconds=5)

    @property
    def status(self) -> Status:
        return read_status(self.body.get("status", {}))

    def condition(self, name: str) -> tuple[str, str]:
        found = self.status.conditions[name]
        return found.status, found.reason

    @property
    def started(self) -> list[str]:
        """Request ids of all evaluations there are."""
        return [each.request_id for each in self.orchestrator.evaluations.values()]


@pytest.fixture
def world() -> World:
    found = World()
    found.create()
    return found
