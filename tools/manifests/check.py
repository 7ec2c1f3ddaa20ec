"""All rules together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from tools.manifests import access_rules, link_rules, pod_rules, settings_rules
from tools.manifests.objects import Object

Rule = Callable[[Sequence[Object]], Iterator[str]]

RULES: tuple[Rule, ...] = (
    pod_rules.restricted,
    pod_rules.limits,
    pod_rules.probes,
    pod_rules.volumes,
    link_rules.namespaces,
    link_rules.workloads,
    link_rules.services,
    link_rules.disruption,
    link_rules.network,
    link_rules.scaling,
    link_rules.sharing,
    settings_rules.settings,
    settings_rules.ports,
    settings_rules.targets,
    settings_rules.ledger,
    settings_rules.files,
    settings_rules.stopping,
    access_rules.tokens,
    access_rules.rights,
    access_rules.callers,
    access_rules.images,
    access_rules.kinds,
)


def findings(objects: Sequence[Object]) -> list[str]:
    """What is wrong, a sentence each; empty is good."""
    return [finding for rule in RULES for finding in rule(objects)]
