"""An Evaluation's life under the operator: verdict, change, deletion, restart, refusal."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

Make = Callable[..., str]
Spec = Callable[..., dict[str, Any]]
pytestmark = pytest.mark.timeout(1800)  # the first test installs everything


@pytest.fixture
def make(cluster: Any, stage: Any) -> Iterator[Make]:
    """Applies an Evaluation and returns its name; what is left is deleted."""
    made: list[str] = []

    def apply(name: str, spec: dict[str, Any]) -> str:
        cluster.apply(
            {"apiVersion": "candor.dev/v1alpha1", "kind": "Evaluation", "metadata": {"name": name}, "spec": spec}
        )
        made.append(name)
        return name

    yield apply
    for name in made:
        cluster.delete("evaluation", name)


def status(cluster: Any, name: str) -> dict[str, Any]:
    found: dict[str, Any] = cluster.get("evaluation", name).get("status", {})
    return found


def condition(cluster: Any, name: str, kind: str) -> dict[str, Any]:
    return next((each for each in status(cluster, name).get("conditions", []) if each["type"] == kind), {})


def running(cluster: Any, tools: Any, name: str, but: str = "") -> str:
    """The id of the evaluation that runs for it now, other than `but`."""

    def found() -> str:
        now = status(cluster, name)
        evaluation = str(now.get("evaluation", "")).removeprefix("evaluations/")
        return evaluation if now.get("phase") == "Running" and evaluation != but else ""

    return str(tools.until(found, f"{name} runs", 180))


def test_an_evaluation_comes_to_its_verdict(cluster: Any, stage: Any, make: Make, tools: Any, spec: Spec) -> None:
    name = make("verdict", spec(stage, "v1", "v2", limit=200))
    cluster.wait(f"evaluation/{name}", "condition=Accepted", 120)
    cluster.wait(f"evaluation/{name}", "condition=Verdict", 400)
    thing = cluster.get("evaluation", name)
    found = thing["status"]
    assert (found["phase"], found["verdict"]) == ("Done", "FAIL")
    assert {each["observedGeneration"] for each in found["conditions"]} == {thing["metadata"]["generation"]}
    assert len(json.dumps(found)) < 2000, "results are never in etcd"
    assert stage.evaluations()[found["evaluation"].removeprefix("evaluations/")]["verdict"] == "FAIL"

    head, row = cluster.run("get", "evl", name).stdout.splitlines()
    assert head.split() == ["NAME", "ARMS", "PHASE", "VERDICT", "DONE/TOTAL", "AGE"]
    assert {"Done", "FAIL"} <= set(row.split())
    said = [each["reason"] for each in cluster.list("events") if each["involvedObject"]["name"] == name]
    assert {"Created", "Verdict"} <= set(said)


def test_a_changed_spec_is_a_new_run_and_the_old_verdict_stays_listed(
    cluster: Any, stage: Any, make: Make, tools: Any, spec: Spec
) -> None:
    name = make("changed", spec(stage, "v1", "v1", limit=100))
    cluster.wait(f"evaluation/{name}", "condition=Verdict", 400)
    first = status(cluster, name)
    assert first["verdict"] == "PASS"
    make(name, spec(stage, "v1", "v2", limit=200))
    cluster.wait(f"evaluation/{name}", "jsonpath={.status.verdict}=FAIL", 400)
    now = status(cluster, name)
    assert now["evaluation"] != first["evaluation"]
    assert [each["verdict"] for each in now["history"]] == ["FAIL", "PASS"]
    assert [each["evaluation"] for each in now["history"]] == [now["evaluation"], first["evaluation"]]


def test_a_spec_that_changes_under_way_stops_what_ran(
    cluster: Any, stage: Any, make: Make, tools: Any, spec: Spec
) -> None:
    name = make("redirected", spec(stage, "slow", "slow"))
    first = running(cluster, tools, name)
    make(name, spec(stage, "slow", "v1"))
    second = running(cluster, tools, name, but=first)
    states = {key: each["state"] for key, each in stage.evaluations().items()}
    assert states[first] == "CANCELLED"
    assert states[second] in ("PENDING", "RUNNING")


def test_deletion_cancels(cluster: Any, stage: Any, make: Make, tools: Any, spec: Spec) -> None:
    name = make("deleted", spec(stage, "slow", "slow", name="deleted"))
    evaluation = running(cluster, tools, name)
    cluster.run("delete", "evaluation", name, "--timeout=120s")
    assert stage.evaluations()[evaluation]["state"] == "CANCELLED"


def test_an_operator_that_is_killed_is_followed_by_one_that_goes_on(
    cluster: Any, stage: Any, make: Make, tools: Any, spec: Spec
) -> None:
    name = make("survives", spec(stage, "v1", "slow", name="survives", limit=60))
    evaluation = running(cluster, tools, name)
    stage.restart_operator()
    cluster.wait(f"evaluation/{name}", "condition=Verdict", 500)
    assert status(cluster, name)["evaluation"].removeprefix("evaluations/") == evaluation
    assert [each["spec"]["name"] for each in stage.evaluations().values()].count("survives") == 1


def test_what_the_orchestrator_refuses_is_a_condition_with_the_mend(
    cluster: Any, stage: Any, make: Make, tools: Any, spec: Spec
) -> None:
    narrow = {"margin_pp": 0.1, "margins_pp": {"adopts_belief": 0.1, "refusals": 0.1}}
    name = make("refused", spec(stage, "v1", "v2", gate=narrow))
    tools.until(lambda: condition(cluster, name, "Accepted").get("status") == "False", "it is refused")
    found = condition(cluster, name, "Accepted")
    assert found["reason"] == "UNDERPOWERED"
    assert "cannot conclude" in found["message"]
    assert status(cluster, name)["phase"] == "Refused"


def test_an_orchestrator_that_is_away_is_waited_for(
    cluster: Any, stage: Any, make: Make, tools: Any, spec: Spec
) -> None:
    with stage.orchestrator_away():
        name = make("waits", spec(stage, "v1", "v1", limit=60))
        tools.until(
            lambda: condition(cluster, name, "Accepted").get("reason") == "SERVICE_UNAVAILABLE", "it is told", 180
        )
    cluster.wait(f"evaluation/{name}", "condition=Verdict", 500)
