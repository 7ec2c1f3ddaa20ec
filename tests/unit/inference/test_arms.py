"""Counts by arm, with a bounded number of label values."""

from prometheus_client import CollectorRegistry

from services.inference.domain.identity import Identity
from services.inference.service.arms import ArmCounts


def identity(number: int) -> Identity:
    return Identity(digest=f"sha256:{number:064d}"[:7] + f"{number:012d}" + "0" * 52, verifiable=True, backend="x")


def test_each_arm_has_its_own_counts() -> None:
    registry = CollectorRegistry()
    counts = ArmCounts(registry)
    counts.count(identity(1), "ok", {"completion": 5})
    counts.count(identity(1), "EMPTY_REPLY", {})
    counts.count(identity(2), "ok", {"completion": 7})
    value = registry.get_sample_value
    assert value("candor_arm_items_total", {"arm": "000000000001", "outcome": "ok"}) == 1
    assert value("candor_arm_items_total", {"arm": "000000000001", "outcome": "EMPTY_REPLY"}) == 1
    assert value("candor_arm_tokens_total", {"arm": "000000000002", "kind": "completion"}) == 7


def test_label_values_are_bounded() -> None:
    registry = CollectorRegistry()
    counts = ArmCounts(registry)
    for number in range(100):
        counts.count(identity(number), "ok", {})
    arms = {
        sample.labels["arm"] for family in registry.collect() for sample in family.samples if "arm" in sample.labels
    }
    assert len(arms) == 65
    assert registry.get_sample_value("candor_arm_items_total", {"arm": "other", "outcome": "ok"}) == 36
