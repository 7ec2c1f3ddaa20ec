"""Whether objects find each other: selectors, ports, targets of scaling, names that services are called by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tools.manifests.objects import (
    CLUSTER_WIDE,
    LONG_RUNNING,
    NAME,
    PART_OF,
    Object,
    Pod,
    label,
    matches,
    names,
    of_kind,
    pods,
)

_SELECTED_BY = {NAME, PART_OF}
# Pods that come and go, and are in no overlay: Jobs that ask, Jobs that train, and models of people's own.
_VISITORS = ("cli", "embedded", "training", "operator")
_MODEL = {"candor.dev/endpoints": "true"}


def namespaces(objects: Sequence[Object]) -> Iterator[str]:
    """One namespace, restricted, and everything in it."""
    found = of_kind(objects, "Namespace")
    for namespace in found:
        labels = namespace["metadata"].get("labels", {})
        for mode in ("enforce", "warn", "audit"):
            if labels.get(f"pod-security.kubernetes.io/{mode}") != "restricted":
                yield f"{label(namespace)}: pod-security.kubernetes.io/{mode} must be restricted"
    for each in objects:
        if each["kind"] not in CLUSTER_WIDE and each["metadata"].get("namespace") not in names(found, "Namespace"):
            yield f"{label(each)}: its namespace is {each['metadata'].get('namespace')}, which no Namespace object makes"


def workloads(objects: Sequence[Object]) -> Iterator[str]:
    """Selectors choose their own pods and no others, by labels that never change."""
    selectors: dict[frozenset[tuple[str, str]], str] = {}
    for pod in pods(objects):
        if pod.kind not in LONG_RUNNING:
            continue
        selector = pod.owner["spec"]["selector"]["matchLabels"]
        if selector.keys() != _SELECTED_BY:
            yield f"{pod}: a selector cannot be changed later, so it has {NAME} and {PART_OF} and nothing else"
        if not matches({"matchLabels": selector}, pod.labels):
            yield f"{pod}: its selector does not choose its own pods"
        other = selectors.setdefault(frozenset(selector.items()), str(pod))
        if other != str(pod):
            yield f"{pod}: has the selector of {other}"
        spread = pod.spec.get("topologySpreadConstraints", [])
        yield from (
            f"{pod}: a topologySpreadConstraint counts the pods of others"
            for each in spread
            if each["labelSelector"].get("matchLabels") != selector
        )
        if pod.kind == "StatefulSet" and pod.owner["spec"].get("serviceName") not in names(objects, "Service"):
            yield f"{pod}: there is no Service {pod.owner['spec'].get('serviceName')}"
        if pod.spec.get("serviceAccountName", "default") not in names(objects, "ServiceAccount") | {"default"}:
            yield f"{pod}: there is no ServiceAccount {pod.spec['serviceAccountName']}"


def services(objects: Sequence[Object]) -> Iterator[str]:
    """A Service leads to the pods of one workload, to ports that they have; Services of ours are headless."""
    for service in of_kind(objects, "Service"):
        chosen = [pod for pod in pods(objects) if matches({"matchLabels": service["spec"]["selector"]}, pod.labels)]
        if len(chosen) != 1 or chosen[0].kind not in LONG_RUNNING:
            yield f"{label(service)}: leads to {', '.join(map(str, chosen)) or 'no pods'}, must be one workload"
            continue
        for port in service["spec"]["ports"]:
            if port.get("targetPort") not in _ports(chosen[0]):
                yield f"{label(service)}: its pods have no port {port.get('targetPort')}"
            if port.get("targetPort") == "grpc" and service["spec"].get("clusterIP") != "None":
                yield f"{label(service)}: must be headless, or each client stays with one pod"
            if _ports(chosen[0]).get(port.get("targetPort")) not in (port["port"], None):
                yield f"{label(service)}: headless, so its port {port['port']} must be that of the pods"
        if service["spec"].get("publishNotReadyAddresses"):
            yield f"{label(service)}: publishNotReadyAddresses sends calls to pods that are not ready"


def disruption(objects: Sequence[Object]) -> Iterator[str]:
    """Each workload of ours has a budget that lets a node be drained."""
    budgets = of_kind(objects, "PodDisruptionBudget")
    for budget in budgets:
        if not any(_chosen(budget, objects)):
            yield f"{label(budget)}: chooses no pods"
        if "minAvailable" in budget["spec"] or not budget["spec"].get("maxUnavailable"):
            yield f"{label(budget)}: must say maxUnavailable of 1 or more, so that nodes can be drained"
    for pod in pods(objects):
        if pod.kind in LONG_RUNNING and "grpc" in _ports(pod):
            found = [each for each in budgets if pod in [*_chosen(each, objects)]]
            if len(found) != 1:
                yield f"{pod}: {len(found)} PodDisruptionBudgets choose it, must be one"


def network(objects: Sequence[Object]) -> Iterator[str]:
    """A NetworkPolicy chooses pods that there are, by ports that they have; peers in the namespace exist too."""
    known = [*pods(objects), *(_visitor({NAME: name, PART_OF: "candor"}) for name in _VISITORS), _visitor(_MODEL)]
    for policy in of_kind(objects, "NetworkPolicy"):
        spec = policy["spec"]
        chosen = [pod for pod in known if matches(spec["podSelector"], pod.labels)]
        if not chosen:
            yield f"{label(policy)}: chooses no pods"
        for rule in spec.get("ingress", []):
            for port in rule.get("ports", []):
                if not any(port["port"] in {**_ports(pod), **dict.fromkeys(_ports(pod).values())} for pod in chosen):
                    yield f"{label(policy)}: the pods that it chooses have no port {port['port']}"
        for peer in _peers(spec):
            if "namespaceSelector" not in peer and not any(matches(peer["podSelector"], pod.labels) for pod in known):
                yield f"{label(policy)}: its peer {peer['podSelector']} is no pod of ours"


def scaling(objects: Sequence[Object]) -> Iterator[str]:
    """What is scaled exists, says no number of its own, and is scaled once."""
    workloads_by_name = {each["metadata"]["name"]: each for each in of_kind(objects, *LONG_RUNNING)}
    seen: set[str] = set()
    for scaler in of_kind(objects, "HorizontalPodAutoscaler", "ScaledObject"):
        target = scaler["spec"]["scaleTargetRef"]["name"]
        if target not in workloads_by_name:
            yield f"{label(scaler)}: there is no {target} to scale"
        elif "replicas" in workloads_by_name[target]["spec"]:
            yield f"{label(scaler)}: {target} has replicas, which each apply would set back"
        if target in seen:
            yield f"{label(scaler)}: {target} is scaled twice"
        seen.add(target)


def sharing(objects: Sequence[Object]) -> Iterator[str]:
    """A claim for one node is mounted by pods that must run beside each other, and can."""
    for claim in of_kind(objects, "PersistentVolumeClaim"):
        name = claim["metadata"]["name"]
        users = [pod for pod in pods(objects) if name in _claims(pod)]
        if claim["spec"]["accessModes"] != ["ReadWriteOnce"] or len(users) < 2:
            continue
        for pod in users:
            if not any(matches(selector, other.labels) for selector in _beside(pod) for other in users):
                yield f"{pod}: mounts {name}, which is for one node, and may run on another: components/one-node"
        if len({str(pod.spec.get("nodeSelector", {})) for pod in users}) > 1:
            yield f"{label(claim)}: is for one node, and its pods choose different ones: no one-node with pools of GPUs"


def _claims(pod: Pod) -> set[str]:
    volumes = pod.volumes.values()
    return {each["persistentVolumeClaim"]["claimName"] for each in volumes if "persistentVolumeClaim" in each}


def _beside(pod: Pod) -> Iterator[dict[str, Any]]:
    """Selectors of the pods on whose node it must run."""
    affinity = pod.spec.get("affinity", {}).get("podAffinity", {})
    for term in affinity.get("requiredDuringSchedulingIgnoredDuringExecution", []):
        if term["topologyKey"] == "kubernetes.io/hostname":
            yield term["labelSelector"]


def _peers(spec: Object) -> Iterator[dict[str, Any]]:
    for direction, side in (("ingress", "from"), ("egress", "to")):
        for rule in spec.get(direction, []):
            yield from (peer for peer in rule.get(side, []) if "podSelector" in peer)


def _chosen(thing: Object, objects: Sequence[Object]) -> Iterator[Pod]:
    selector = thing["spec"].get("selector")
    return (pod for pod in pods(objects) if selector and matches(selector, pod.labels))


def _ports(pod: Pod) -> dict[str, int]:
    return {port["name"]: port["containerPort"] for each in pod.containers for port in each.get("ports", [])}


def _visitor(labels: Mapping[str, str]) -> Pod:
    return Pod({"kind": "Pod", "metadata": {"name": "visitor"}}, labels, {"containers": []})
