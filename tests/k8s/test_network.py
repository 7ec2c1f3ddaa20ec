"""Who reaches whom where policies are enforced."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from tools.manifests.combinations import completed
from tools.manifests.objects import NAME, PART_OF, Object, matches, of_kind, pods

TRIAL = completed(("trial-models", "postgres-trial", "network-policy"))
MODEL, LEDGER = {8000, "http"}, {5432, "postgres"}
Composed = Callable[[tuple[str, ...]], list[Object]]


def permitted(objects: list[Object], of: str, direction: str, peer: str, port: set[int | str]) -> bool:
    """Whether the policies that choose a pod let it speak with another pod of the namespace; all, where none chooses it."""
    side = {"Egress": "to", "Ingress": "from"}[direction]
    policies = [
        each["spec"]
        for each in of_kind(objects, "NetworkPolicy")
        if direction in each["spec"]["policyTypes"] and matches(each["spec"]["podSelector"], labels(objects, of))
    ]
    return not policies or any(
        any(
            matches(each["podSelector"], labels(objects, peer))
            for each in rule.get(side, [{"podSelector": {}}])
            if each.keys() == {"podSelector"}  # no block of addresses, no other namespace
        )
        and ("ports" not in rule or any(each["port"] in port for each in rule["ports"]))
        for policy in policies
        for rule in policy.get(direction.lower(), [])
    )


def labels(objects: list[Object], name: str) -> Mapping[str, str]:
    found = (pod.labels for pod in pods(objects) if pod.labels[NAME] == name)
    return next(found, {NAME: name, PART_OF: "candor"})  # a Job's pod


def reaches(objects: list[Object], source: str, target: str, port: set[int | str]) -> bool:
    return permitted(objects, source, "Egress", target, port) and permitted(objects, target, "Ingress", source, port)


@pytest.mark.parametrize("model", ["model-v1", "model-v2"])
@pytest.mark.parametrize("asking", ["inference", "embedded"])
def test_the_pretend_models_answer_who_asks_models(asking: str, model: str, composed: Composed) -> None:
    assert reaches(composed(TRIAL), asking, model, MODEL)


def test_the_ledger_answers_the_orchestrator(composed: Composed) -> None:
    assert reaches(composed(TRIAL), "orchestrator", "postgres", LEDGER)


@pytest.mark.parametrize(
    ("source", "target", "port"),
    [
        ("orchestrator", "model-v1", MODEL),
        ("cli", "model-v1", MODEL),
        ("inference", "postgres", LEDGER),
        ("model-v1", "postgres", LEDGER),
        ("model-v1", "model-v2", MODEL),
    ],
)
def test_nobody_else_does(source: str, target: str, port: set[int | str], composed: Composed) -> None:
    assert not reaches(composed(TRIAL), source, target, port)


def test_models_are_reached_where_nothing_is_denied(composed: Composed) -> None:
    assert reaches(composed(completed(("trial-models",))), "inference", "model-v1", MODEL)
