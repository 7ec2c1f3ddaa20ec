"""The orchestrator as the operator uses it: carries out one call of a reconcile."""

from __future__ import annotations

import grpc
from candor.orchestrator.v1 import orchestrator_pb2, orchestrator_pb2_grpc

from candor_operator.domain.calls import OPEN_STATES, Call, Cancel, Create, Find, Look, started_by
from candor_operator.domain.resource import Resource
from chassis.clients import translated

_SERVICE = "orchestrator"
_SECONDS = 30.0
_CREATE_SECONDS = 1800.0  # the plan describes the arms: hashing the weights of a checkpoint takes its time
_PAGE, _PAGES = 100, 20


class Orchestrator:
    """A client over one channel. Raises CandorError."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = orchestrator_pb2_grpc.OrchestratorServiceStub(channel)

    async def carry_out(self, call: Call, resource: Resource | None = None) -> orchestrator_pb2.Evaluation | None:
        """The evaluation after the call; None where there is none.

        Args:
            call: What is wanted.
            resource: The resource that it is for; a Create needs it.
        """
        with translated(_SERVICE):
            match call:
                case Create():
                    assert resource is not None
                    return await self._create(call, resource)
                case Look():
                    return await self._get(call.evaluation)
                case Cancel():
                    return await self._cancel(call)
                case Find():
                    return await self._find(call)

    async def _create(self, call: Create, resource: Resource) -> orchestrator_pb2.Evaluation:
        request = orchestrator_pb2.CreateEvaluationRequest(
            spec=resource.evaluation_spec(),
            request_id=call.request_id,
            resume="auto" if call.reuse else "new",
            allow_underpowered=resource.allow_underpowered,
            limit=resource.limit,
        )
        return await self._stub.CreateEvaluation(request, timeout=_CREATE_SECONDS)

    async def _get(self, name: str) -> orchestrator_pb2.Evaluation:
        return await self._stub.GetEvaluation(orchestrator_pb2.GetEvaluationRequest(name=name), timeout=_SECONDS)

    async def _cancel(self, call: Cancel) -> orchestrator_pb2.Evaluation:
        found = await self._get(call.evaluation)
        if not started_by(found, call.uid):
            return found
        request = orchestrator_pb2.CancelEvaluationRequest(name=call.evaluation)
        return await self._stub.CancelEvaluation(request, timeout=_SECONDS)

    async def _find(self, call: Find) -> orchestrator_pb2.Evaluation | None:
        token = ""
        for _ in range(_PAGES):
            request = orchestrator_pb2.ListEvaluationsRequest(page_size=_PAGE, page_token=token)
            page = await self._stub.ListEvaluations(request, timeout=_SECONDS)
            for each in page.evaluations:
                if each.request_id == call.request_id or (each.state in OPEN_STATES and started_by(each, call.uid)):
                    return each
            token = page.next_page_token
            if not token:
                break
        return None
