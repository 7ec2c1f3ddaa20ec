"""From `kubectl apply` to a verdict, through whatever happens to the operator, the orchestrator and the resource."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from candor_operator.domain.status import size

from .conftest import condition, has_verdict

Spec = Callable[..., dict[str, Any]]


async def test_a_resource_comes_to_its_verdict(namespace: Any, orchestrator: Any, operators: Any, spec: Spec) -> None:
    operators.start(namespace, orchestrator.target)
    namespace.create(spec())
    body = await namespace.until(has_verdict)
    status = body["status"]
    assert (status["phase"], status["verdict"], status["arms"]) == ("Done", "FAIL", "v1, v2")
    assert condition(body, "Verdict")["reason"] == "FAIL"
    assert condition(body, "Accepted")["status"] == "True"
    assert condition(body, "Running")["status"] == "False"
    (evaluation,) = await orchestrator.evaluations()
    assert status["evaluation"] == evaluation.name
    assert evaluation.request_id == f"{body['metadata']['uid']}-1"
    assert status["progress"] == f"{evaluation.progress.responses_done}/{evaluation.progress.responses_total}"
    assert size(status) < 2048
    assert "annotations" not in body["metadata"]
    (told,) = await namespace.events("Verdict")
    assert told["type"] == "Warning"
    assert told["message"].startswith("FAIL: ")
