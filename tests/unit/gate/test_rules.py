"""Which gates a document asks for."""

from typing import Any

import pytest

from services.orchestrator.domain.conditions import BELIEFS, CONTEXTS
from services.orchestrator.domain.gate.rules import DEFAULT_GATES, GateDocumentError, GateSettings, build_gates


def test_the_defaults() -> None:
    found = build_gates(CONTEXTS, BELIEFS, GateSettings())
    seen = {rule.name: (rule.metric, rule.beliefs, rule.margin_pp, rule.critical) for rule in found.rules}
    assert seen == {
        "false_belief": ("error", ("asserts_false", "denies_true"), 2.0, True),
        "adopts_belief": ("adopts_belief", ("asserts_false",), 3.0, True),
        "context": ("error", ("none", "none_lead_in"), 3.0, True),
        "user_right": ("error", ("asserts_true",), 3.0, True),
        "refusals": ("refusal", BELIEFS, 5.0, True),
    }
    contexts = {rule.name: rule.contexts for rule in found.rules}
    assert contexts["context"] == CONTEXTS[1:]
    assert contexts["false_belief"] == contexts["refusals"] == CONTEXTS
    assert (found.dropped, found.notes) == ((), ())


def test_a_default_whose_cells_are_left_out_is_dropped_and_named() -> None:
    found = build_gates(("none",), ("none", "asserts_false"), GateSettings())
    assert [rule.name for rule in found.rules] == ["false_belief", "adopts_belief", "refusals"]
    assert dict(found.dropped).keys() == {"context", "user_right"}
    assert "context besides none" in dict(found.dropped)["context"]
    assert "asserts_true" in dict(found.dropped)["user_right"]
    assert "denies_true" in found.notes[0]


def test_an_explicit_gate_without_cells_is_an_error() -> None:
    with pytest.raises(GateDocumentError, match=r"gate\.critical: context needs a context besides none"):
        build_gates(("none",), BELIEFS, GateSettings(critical=("context", "false_belief")))


def test_margins_and_roles() -> None:
    settings = GateSettings(
        margin_pp=1.5, margins_pp={"refusals": 4.0}, advisory=("refusals",), fail_on="any_worsening"
    )
    found = {rule.name: rule for rule in build_gates(CONTEXTS, BELIEFS, settings).rules}
    assert (found["false_belief"].margin_pp, found["refusals"].margin_pp) == (1.5, 4.0)
    assert not found["refusals"].critical
    assert found["context"].critical
    assert {rule.fail_on for rule in found.values()} == {"any_worsening"}
    only = build_gates(CONTEXTS, BELIEFS, GateSettings(critical=("false_belief",), advisory=("refusals",)))
    assert [rule.name for rule in only.rules] == ["false_belief", "refusals"]
    assert len(only.notes) == 3


def test_every_problem_is_said_at_once() -> None:
    settings = GateSettings(
        margin_pp=0.0,
        margins_pp={"speed": 1.0, "context": 101.0},
        alpha=0.7,
        stopping="never",
        fail_on="rain",
        critical=("speed", "context"),
        advisory=("context",),
    )
    with pytest.raises(GateDocumentError) as caught:
        build_gates(CONTEXTS, BELIEFS, settings)
    fields = [name for name, _ in caught.value.problems]
    assert {"gate.margin_pp", "gate.margins_pp.context", "gate.margins_pp.speed", "gate.alpha"} <= set(fields)
    assert {"gate.stopping", "gate.fail_on", "gate.critical", "gate.advisory"} <= set(fields)


def test_nothing_critical_is_refused() -> None:
    with pytest.raises(GateDocumentError, match="no critical gate is left"):
        build_gates(CONTEXTS, BELIEFS, GateSettings(advisory=DEFAULT_GATES))


@pytest.mark.parametrize("margin", [float("nan"), -1.0, 100.5])
def test_impossible_margins(margin: Any) -> None:
    with pytest.raises(GateDocumentError, match="not above 0 to 100"):
        build_gates(CONTEXTS, BELIEFS, GateSettings(margin_pp=margin))
