"""Denials that repeat themselves do not fill the log."""

from typing import Any

from candor.orchestrator.v1 import orchestrator_pb2
from structlog.testing import capture_logs

from chassis.audit import Audit
from chassis.errors import CandorError, Reason
from chassis.logs import caller

DELETE = "/candor.orchestrator.v1.OrchestratorService/DeleteEvaluation"
FORBIDDEN = CandorError(Reason.CALLER_FORBIDDEN, "no")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def named(name: str) -> Any:
    return orchestrator_pb2.DeleteEvaluationRequest(name=f"evaluations/{name}")


def test_a_denial_that_repeats_itself_is_written_once_a_second_with_how_often() -> None:
    clock = Clock()
    with capture_logs() as lines:
        audit = Audit("test", clock)
        for port in range(1000):
            audit.denied(DELETE, f"ipv4:10.0.0.1:{port}", named("a"), FORBIDDEN)
        clock.now += 1
        audit.denied(DELETE, "ipv4:10.0.0.1:1", named("a"), FORBIDDEN)
    assert [line["times"] for line in lines] == [1, 1000]


def test_nothing_that_a_caller_makes_up_gives_it_more_lines() -> None:
    create = "/candor.orchestrator.v1.OrchestratorService/CreateEvaluation"
    with capture_logs() as lines:
        audit = Audit("test", Clock())
        for number in range(5000):
            fresh = orchestrator_pb2.CreateEvaluationRequest(request_id=f"run-{number}")
            audit.denied(create, "ipv4:10.0.0.1:1", fresh, FORBIDDEN)
            audit.denied(DELETE, "ipv4:10.0.0.1:1", named(str(number)), FORBIDDEN)
    assert [line["method"] for line in lines] == ["orchestrator.CreateEvaluation", "orchestrator.DeleteEvaluation"]
    assert lines[1]["resource"] == "evaluations/0"


def test_other_callers_methods_hosts_and_reasons_have_lines_of_their_own() -> None:
    with capture_logs() as lines:
        audit = Audit("test", Clock())
        audit.denied(DELETE, "ipv4:10.0.0.1:1", named("a"), FORBIDDEN)
        audit.denied(DELETE.replace("Delete", "Cancel"), "ipv4:10.0.0.1:1", named("b"), FORBIDDEN)
        audit.denied(DELETE, "ipv4:10.0.0.2:1", named("c"), FORBIDDEN)
        audit.denied(DELETE, "ipv4:10.0.0.1:1", named("d"), CandorError(Reason.CALLER_LIMITED, "slower"))
        token = caller.set("team")
        audit.denied(DELETE, "ipv4:10.0.0.1:1", named("e"), FORBIDDEN)
        caller.reset(token)
    assert [line["resource"][-1] for line in lines] == ["a", "b", "c", "d", "e"]


def test_what_is_remembered_is_bounded() -> None:
    audit = Audit("test", Clock())
    with capture_logs():
        for number in range(5000):
            audit.denied(DELETE, f"ipv6:[2001:db8::{number:x}]:1", named("a"), FORBIDDEN)
    assert len(audit._repeated) <= 1000
