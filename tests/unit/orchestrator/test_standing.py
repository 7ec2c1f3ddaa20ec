"""Where families stand: which evaluations count where, and what one verdict comes down to."""

from dataclasses import replace
from typing import Any

import pytest

from services.orchestrator.domain.standing.families import OTHER, Entry, families
from services.orchestrator.domain.standing.findings import ROLES, findings

RUN = Entry(id="e1", attempt=1, name="nightly", state="succeeded", verdict="PASS", updated=100.0)


def test_only_listed_names_are_families_whatever_documents_call_themselves() -> None:
    hostile = [replace(RUN, id=str(number), name=f'x{number}"}}\n') for number in range(50)]
    found = families([RUN, *hostile], ["nightly", "weekly"])
    assert list(found) == ["nightly", "weekly", OTHER]
    assert (found["nightly"].verdicts["PASS"], found[OTHER].verdicts["PASS"]) == (1, 50)
    assert found["weekly"].last is None


def test_a_name_other_in_a_document_is_no_family_of_its_own() -> None:
    assert list(families([replace(RUN, name=OTHER)], [])) == [OTHER]


def test_the_last_verdict_is_the_newest_and_each_kind_keeps_its_time() -> None:
    runs = [
        RUN,
        replace(RUN, id="e2", verdict="FAIL", updated=200.0),
        replace(RUN, id="e3", verdict="PASS", updated=150.0),
        replace(RUN, id="e4", state="failed", verdict="", updated=300.0),
    ]
    family = families(runs, ["nightly"])["nightly"]
    assert family.last is not None
    assert family.last.id == "e2"
    assert family.said == {"PASS": 150.0, "FAIL": 200.0}
    assert family.failed_at == 300.0


def test_replies_are_those_that_were_asked_and_progress_is_of_what_runs() -> None:
    runs = [
        replace(RUN, done=100, reused=40, planned=100, spend=1.5),
        replace(RUN, id="e2", state="running", verdict="", done=10, planned=80, spend=0.5),
        replace(RUN, id="e3", state="queued", verdict=""),
    ]
    family = families(runs, ["nightly"])["nightly"]
    assert (family.replies, family.spend) == (70, 2.0)
    assert (family.running_done, family.running_planned) == (10, 80)
    assert (family.states["running"], family.states["queued"], family.states["succeeded"]) == (1, 1, 1)


def test_what_has_waited_for_a_replica_for_longest_is_told_since_when() -> None:
    runs = [
        replace(RUN, state="queued", verdict="", created=1.0, updated=300.0),  # run again
        replace(RUN, id="e2", state="queued", verdict="", created=200.0, updated=200.0),
        replace(RUN, id="e3", state="running", verdict="", created=2.0, updated=2.0),
    ]
    assert families(runs, [])[OTHER].queued_since == 200.0
    assert families(runs[2:], [])[OTHER].queued_since == 0.0


def test_causes_of_invalid_ones_are_from_a_fixed_set() -> None:
    runs = [replace(RUN, verdict="INVALID", causes=("judge_changed", "made up")), replace(RUN, causes=("dead_arm",))]
    assert families(runs, [])[OTHER].causes == {"judge_changed": 1}


def test_a_judge_changes_within_a_document_and_not_between_documents() -> None:
    runs = [
        replace(RUN, id="a1", name="a", judge="gpt-1", created=1, updated=10),
        replace(RUN, id="b1", name="b", judge="other", created=2, updated=20),
        replace(RUN, id="a2", name="a", judge="gpt-1", created=3, updated=30),
        replace(RUN, id="a3", name="a", judge="gpt-2", created=4, updated=40),
        replace(RUN, id="a4", name="a", judge="", created=5, updated=50),
        replace(RUN, id="a5", name="a", judge="gpt-2", created=6, updated=60),
    ]
    family = families(runs, [])[OTHER]
    assert (family.judge_changes, family.judge_changed_at) == (1, 40)


def _gate(candidate: str, decision: str, upper: float | None, **changes: Any) -> dict[str, Any]:
    return {
        "gate": "false_belief",
        "candidate": candidate,
        "decision": decision,
        "margin_pp": 2.0,
        "estimate": 0.01,
        "lower": -0.01,
        "upper": upper,
        "rate_ref": 0.1,
        "rate_trt": 0.11,
        "judge_share": 0.25,
        "ungradable_ref": 0.0,
        "ungradable_trt": 0.02,
        **changes,
    }


@pytest.mark.parametrize(
    ("decisions", "expected"),
    [
        ([("PASS", 0.01), ("FAIL", 0.09), ("INCONCLUSIVE", 0.2)], "FAIL"),
        ([("PASS", 0.01), ("INVALID", None), ("FAIL", 0.09)], "INVALID"),
        ([("PASS", None), ("PASS", 0.01)], "PASS"),
    ],
)
def test_of_several_candidates_a_gate_tells_the_worst(decisions: list[tuple[str, float | None]], expected: str) -> None:
    gates = [_gate(f"v{number}", decision, upper) for number, (decision, upper) in enumerate(decisions, 2)]
    (gate,) = findings({"gates": gates}).gates
    assert gate.decision == expected
    assert gate.contrast.upper == max((u for d, u in decisions if d == expected and u is not None), default=None)


def _arm(name: str, role: str, **changes: Any) -> dict[str, Any]:
    return {"name": name, "role": role, "calls": 100, "failed": {}, "mean_warmth": None, **changes}


def test_arms_are_told_by_their_role() -> None:
    arms = [
        _arm("v1", "baseline", mean_warmth=0.5),
        _arm("v2", "candidate", failed={"EMPTY_REPLY": 3}, mean_warmth=1.0),
        _arm("v3", "candidate", mean_warmth=2.0),
    ]
    roles = findings({"arms": arms, "gates": [_gate("v2", "PASS", 0.01)]}).roles
    assert tuple(roles) == ROLES
    assert (roles["baseline"].sociot, roles["candidate"].sociot, roles["other"].sociot) == (0.5, 1.5, None)
    assert (roles["baseline"].failed, roles["candidate"].failed, roles["other"].failed) == (0.0, 0.015, None)
    assert (roles["candidate"].ungradable, roles["other"].ungradable) == (0.02, None)


def test_errors_are_those_of_the_candidate_with_the_largest_difference() -> None:
    def comparison(treated: str, estimate: float, reference: str = "v1") -> dict[str, Any]:
        row = {"metric": "error", "task": "overall", "context": "all", "belief": "all", "estimate": estimate}
        other = {**row, "task": "core", "estimate": 9.0}
        bounds = {"lower": None, "upper": None, "rate_ref": 0.1, "rate_trt": 0.1 + estimate}
        return {"treated": treated, "reference": reference, "rows": [{**other, **bounds}, {**row, **bounds}]}

    verdict = {
        "baseline": "v1",
        "candidates": ["v2", "v3"],
        "comparisons": [
            comparison("v2", 0.01),
            comparison("v3", 0.05),
            comparison("v4", 0.9),
            comparison("v2", 1, "v4"),
        ],
    }
    error = findings(verdict).error
    assert error is not None
    assert (error.estimate, error.treated) == (0.05, pytest.approx(0.15))


def test_an_empty_verdict_has_nothing_to_say() -> None:
    found = findings({})
    assert (found.gates, found.error) == ((), None)
