"""Each rule finds what it is there for: good manifests with one thing broken."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from tools.manifests.check import RULES, findings
from tools.manifests.objects import Object, pods

Break = Callable[[dict[str, Any]], Any]


def pod(thing: Object) -> dict[str, Any]:
    return next(iter(pods([thing]))).spec  # type: ignore[return-value]


def container(thing: Object) -> dict[str, Any]:
    return pod(thing)["containers"][0]  # type: ignore[no-any-return]


def put(path: str, value: object) -> Break:
    """Set a field of the container or, with `pod.` or `object.` in front, of these; None removes it."""

    def act(thing: Object) -> None:
        first, *rest = path.split(".")
        where: Any = {"pod": pod, "object": lambda each: each}.get(first, container)(thing)
        keys = rest if first in ("pod", "object") else [first, *rest]
        for key in keys[:-1]:
            where = where[int(key)] if key.isdigit() else where.setdefault(key, {})
        if value is None:
            del where[keys[-1]]
        else:
            where[int(keys[-1]) if keys[-1].isdigit() else keys[-1]] = value

    return act


def tmp(source: dict[str, Any]) -> Break:
    """Take the volume of /tmp from something else."""

    def act(thing: Object) -> None:
        volumes = pod(thing)["volumes"]
        volumes[:] = [each for each in volumes if each["name"] != "tmp"] + [{"name": "tmp", **source}]

    return act


def setting(name: str, value: str) -> Break:
    return lambda thing: thing["data"].update({name: value})


def known(callers: dict[str, Any]) -> Break:
    """Put a file of callers in the place of ours."""
    text = base64.b64encode(json.dumps(callers).encode()).decode()
    return lambda thing: thing["data"].update({"callers.json": text})


GRADER, NAMESPACE, CONFIG = "Deployment/grader", "Namespace/candor", "ConfigMap/grader"
CALLERS = "Secret/candor-callers"
BROKEN: list[tuple[str, Break, str]] = [
    (GRADER, put("pod.hostNetwork", True), "hostNetwork must not be set"),
    (GRADER, put("pod.securityContext.runAsNonRoot", False), "needs runAsNonRoot"),
    (GRADER, put("pod.securityContext.runAsUser", 0), "a runAsUser other than 0"),
    (GRADER, put("pod.securityContext.seccompProfile", None), "seccompProfile.type must be RuntimeDefault"),
    (GRADER, tmp({"hostPath": {"path": "/"}}), "the restricted profile refuses"),
    (GRADER, put("securityContext.allowPrivilegeEscalation", None), "allowPrivilegeEscalation must be false"),
    (GRADER, put("securityContext.privileged", True), "privileged must not be set"),
    (GRADER, put("securityContext.capabilities.drop", ["NET_RAW"]), "must drop ALL"),
    (GRADER, put("securityContext.capabilities.add", ["SYS_PTRACE"]), "add none"),
    (GRADER, put("securityContext.readOnlyRootFilesystem", False), "readOnlyRootFilesystem must be true"),
    (GRADER, put("securityContext.runAsUser", 0), "must not run as root"),
    (GRADER, put("ports.0.hostPort", 50051), "hostPort must not be set"),
    (GRADER, put("resources.limits", None), "has no limit of memory"),
    (GRADER, put("resources.requests", None), "requests no cpu and no memory"),
    (GRADER, tmp({"emptyDir": {}}), "emptyDir tmp has no sizeLimit"),
    (GRADER, put("livenessProbe", None), "has no livenessProbe"),
    (GRADER, put("livenessProbe.grpc.service", "candor.grader.v1.GraderService"), "must be 'live'"),
    (GRADER, put("readinessProbe.grpc.service", "live"), "must be 'candor.grader.v1.GraderService'"),
    (GRADER, put("startupProbe.grpc.port", 50051), "the port health is 50052"),
    (GRADER, put("volumeMounts.0.name", "elsewhere"), "mounts elsewhere, which is no volume"),
    (GRADER, put("pod.volumes.0.name", "forgotten"), "volume forgotten is not mounted"),
    (GRADER, put("envFrom.0.configMapRef.name", "grader-of-old"), "there is no configMap grader-of-old"),
    (
        "StatefulSet/orchestrator",
        put("env.0.valueFrom", {"secretKeyRef": {"name": "mine", "key": "x"}}),
        "no secret mine",
    ),
    ("Deployment/inference", put("pod.volumes.0.persistentVolumeClaim.claimName", "x"), "no persistentVolumeClaim x"),
    (NAMESPACE, put("object.metadata.labels", {}), "pod-security.kubernetes.io/enforce must be restricted"),
    (GRADER, put("object.metadata.namespace", "default"), "its namespace is default"),
    (GRADER, put("object.spec.selector.matchLabels.version", "1"), "a selector cannot be changed later"),
    (GRADER, put("object.spec.template.metadata.labels", {}), "its selector does not choose its own pods"),
    (
        GRADER,
        put("object.spec.selector.matchLabels", {"app.kubernetes.io/name": "inference"}),
        "a selector cannot be changed later",
    ),
    (GRADER, put("pod.topologySpreadConstraints.0.labelSelector", {}), "counts the pods of others"),
    ("StatefulSet/orchestrator", put("object.spec.serviceName", "other"), "there is no Service other"),
    (GRADER, put("pod.serviceAccountName", "other"), "there is no ServiceAccount other"),
    ("Service/grader", put("object.spec.selector", {"app.kubernetes.io/part-of": "candor"}), "must be one workload"),
    ("Service/grader", put("object.spec.selector", {"app.kubernetes.io/name": "x"}), "leads to no pods"),
    ("Service/grader", put("object.spec.ports.0.targetPort", "http"), "its pods have no port http"),
    ("Service/grader", put("object.spec.ports.0.port", 80), "its port 80 must be that of the pods"),
    ("Service/grader", put("object.spec.clusterIP", None), "must be headless"),
    ("Service/grader", put("object.spec.publishNotReadyAddresses", True), "pods that are not ready"),
    ("PodDisruptionBudget/grader", put("object.spec.minAvailable", 2), "must say maxUnavailable"),
    (
        "PodDisruptionBudget/grader",
        put("object.spec.selector.matchLabels", {"app.kubernetes.io/name": "x"}),
        "chooses no pods",
    ),
    ("PodDisruptionBudget/grader", put("object.spec.selector", None), "0 PodDisruptionBudgets choose it"),
    (
        "NetworkPolicy/to-database",
        put("object.spec.podSelector", {"matchLabels": {"app.kubernetes.io/name": "x"}}),
        "chooses no pods",
    ),
    ("NetworkPolicy/to-orchestrator", put("object.spec.ingress.0.ports.0.port", "web"), "have no port web"),
    (
        "NetworkPolicy/from-orchestrator",
        put("object.spec.ingress.0.from.0.podSelector.matchLabels", {"app.kubernetes.io/name": "x"}),
        "is no pod of ours",
    ),
    ("HorizontalPodAutoscaler/grader", put("object.spec.scaleTargetRef.name", "x"), "there is no x to scale"),
    (GRADER, put("object.spec.replicas", 2), "grader has replicas"),
    ("HorizontalPodAutoscaler/grader", put("object.spec.scaleTargetRef.name", "inference-gpu"), "is scaled twice"),
    (
        "PersistentVolumeClaim/candor-artifacts",
        put("object.spec.accessModes", ["ReadWriteOnce"]),
        "mounts candor-artifacts, which is for one node, and may run on another",
    ),
    (CONFIG, setting("CANDOR_GRADER_DRIAN_SECONDS", "1"), "CANDOR_GRADER_DRIAN_SECONDS is no setting of the grader"),
    (CONFIG, setting("CANDOR_GRADER_MAX_JUDGES", "0"), "the grader refuses max_judges"),
    (CONFIG, setting("CANDOR_GRADER_EGRESS__ALLOWED_HOSTS", '["http://judge"]'), "the grader refuses egress"),
    (CONFIG, setting("CANDOR_GRADER_PORT", "50053"), "port grpc is 50051, and the grader listens on 50053"),
    (CONFIG, setting("CANDOR_GRADER_METRICS_PORT", "9091"), "port metrics is 9090"),
    (CONFIG, setting("CANDOR_GRADER_HOST", "127.0.0.1"), "must listen on 0.0.0.0"),
    (CONFIG, setting("CANDOR_GRADER_TLS_CERT_FILE", "/etc/tls/tls.crt"), "no volume is mounted there"),
    (CONFIG, setting("CANDOR_GRADER_DRAIN_SECONDS", "55"), "must be more than 60"),
    ("ConfigMap/trainer", setting("CANDOR_TRAINER_STOP_SECONDS", "100"), "must be more than 135"),
    (GRADER, put("lifecycle.preStop", {"exec": {"command": ["sleep", "5"]}}), "preStop must sleep"),
    (GRADER, put("pod.terminationGracePeriodSeconds", None), "terminationGracePeriodSeconds is 30"),
    (
        "ConfigMap/orchestrator",
        setting("CANDOR_ORCHESTRATOR_GRADER_TARGET", "dns:///grader:50050"),
        "grader_target names 'dns:///grader:50050', which is no Service here",
    ),
    (
        "ConfigMap/orchestrator",
        setting("CANDOR_ORCHESTRATOR_INFERENCE_TARGETS", '{"*": "inferrence:50051"}'),
        "inference_targets names 'inferrence:50051'",
    ),
    (
        "StatefulSet/orchestrator",
        lambda thing: container(thing)["env"].append(
            {"name": "CANDOR_ORCHESTRATOR_LEDGER_URL", "value": "sqlite:////tmp/ledger.db"}
        ),
        "take components/postgres",
    ),
    (GRADER, put("pod.automountServiceAccountToken", None), "a token of the API server that nothing needs"),
    (
        "ServiceAccount/grader",
        put("object.automountServiceAccountToken", None),
        "automountServiceAccountToken must be false",
    ),
    (
        CALLERS,
        known({"team-a": {"certificates": "team-a", "scopes": "grader"}}),
        "orchestrator may not call what it must",
    ),
    (CALLERS, known({"operator": {"certificates": "operator", "scopes": "grader"}}), "operator may not call"),
    (CALLERS, known({"operator": {"certificates": "operator", "scopes": "graders"}}), "'graders' is no scope"),
    (GRADER, put("image", "candor/grader:latest"), "has no version"),
    (GRADER, put("image", "candor/grader"), "has no version"),
    ("Certificate/grader", put("object.apiVersion", "cert-manager.io/v1alpha2"), "is no version that we know"),
]

READER: Object = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "Role",
    "metadata": {"name": "reader", "namespace": "candor"},
    "rules": [{"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create"]}],
}
BINDING: Object = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "RoleBinding",
    "metadata": {"name": "reader", "namespace": "candor"},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
    "subjects": [{"kind": "ServiceAccount", "name": "grader", "namespace": "candor"}],
}


@pytest.mark.parametrize(("where", "act", "said"), BROKEN, ids=[f"{each[0]}: {each[2]}" for each in BROKEN])
def test_what_is_broken_is_found(where: str, act: Break, said: str, rendered: Callable[[str], list[Object]]) -> None:
    objects = copy.deepcopy(rendered("gke"))
    kind, name = where.split("/")
    act(next(each for each in objects if each["kind"] == kind and _plain(each) == name))
    assert [each for each in findings(objects) if said in each], findings(objects)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"verbs": ["*"]}, "but all (*)"),
        ({"resources": ["*"]}, "but all (*)"),
        ({"verbs": ["bind"]}, "must not bind"),
        ({"resources": ["secrets"]}, "must not reach secrets"),
        ({"resources": ["pods/exec"]}, "must not reach pods/exec"),
    ],
)
def test_rights_without_need_are_found(rule: Object, said: str, rendered: Callable[[str], list[Object]]) -> None:
    role = {**READER, "rules": [{**READER["rules"][0], **rule}]}
    assert [each for each in findings([*rendered("gke"), role]) if said in each]


def test_rights_are_given_to_our_accounts_by_roles_that_there_are(rendered: Callable[[str], list[Object]]) -> None:
    elsewhere = {"kind": "ServiceAccount", "name": "grader", "namespace": "default"}
    nobody = {**BINDING, "subjects": [{"kind": "Group", "name": "system:authenticated"}, elsewhere]}
    found = findings([*rendered("gke"), nobody])
    assert "RoleBinding/reader: there is no Role reader" in found
    assert "RoleBinding/reader: Group system:authenticated is no account of ours" in found
    assert "RoleBinding/reader: ServiceAccount grader in default is no account of ours" in found


def test_an_account_with_rights_has_a_pod_with_its_token(rendered: Callable[[str], list[Object]]) -> None:
    found = findings([*rendered("gke"), READER, BINDING])
    assert found == ["Deployment/grader: its account has rights, but the pod gets no token"]


def test_a_job_that_trains_gets_no_calls(rendered: Callable[[str], list[Object]]) -> None:
    trainer = next(
        each for each in rendered("gke") if each["kind"] == "Deployment" and each["metadata"]["name"] == "trainer"
    )
    template = {
        "apiVersion": "v1",
        "kind": "PodTemplate",
        "metadata": {"name": "x", "namespace": "candor"},
        "template": copy.deepcopy(trainer["spec"]["template"]),
    }
    found = findings([*rendered("gke"), template])
    assert "Service/trainer: leads to Deployment/trainer, PodTemplate/x, must be one workload" in found


def test_every_rule_has_something_that_it_finds(rendered: Callable[[str], list[Object]]) -> None:
    unused = set(RULES)
    for where, act, said in BROKEN:
        objects = copy.deepcopy(rendered("gke"))
        kind, name = where.split("/")
        act(next(each for each in objects if each["kind"] == kind and _plain(each) == name))
        unused -= {rule for rule in unused if any(said in each for each in rule(objects))}
    assert {rule.__name__ for rule in unused} == {"rights"}  # by its own tests above


def _plain(thing: Object) -> str:
    """A name without the digest that kustomize gives to ConfigMaps."""
    name = str(thing["metadata"]["name"])
    return name.rpartition("-")[0] if thing["kind"] == "ConfigMap" else name
