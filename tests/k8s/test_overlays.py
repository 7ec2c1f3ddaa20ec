"""What each overlay promises."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest

from candor_cli.options import OrchestratorOption, TlsCaOption, TlsCertOption, TlsKeyOption
from chassis.auth.callers import read_callers
from tools.containers.objects import Objects
from tools.containers.template import Template
from tools.manifests.check import findings
from tools.manifests.combinations import completed
from tools.manifests.objects import LONG_RUNNING, Object, matches, of_kind, pods
from tools.manifests.render import K8S, ROOT, render

Rendered = Callable[[str], list[Object]]
CLOUDS = ("aks", "eks", "gke")
RBAC = "rbac.authorization.k8s.io"
TRIALS = ("cpu-only", "kind")
SERVICES = {"rewriter", "trainer", "inference", "grader", "orchestrator"}


def named(objects: list[Object], kind: str, name: str) -> Object:
    return next(each for each in of_kind(objects, kind) if each["metadata"]["name"] == name)


def config(objects: list[Object], service: str) -> dict[str, str]:
    found = of_kind(objects, "ConfigMap")
    data: dict[str, str] = next(each for each in found if each["metadata"]["name"].startswith(f"{service}-"))["data"]
    return data


def test_every_overlay_has_every_service(overlay: str, rendered: Rendered) -> None:
    there = {each["metadata"]["name"] for each in of_kind(rendered(overlay), *LONG_RUNNING)}
    assert there >= SERVICES


def test_a_changed_setting_replaces_the_pods(overlay: str, rendered: Rendered) -> None:
    taken = {
        source["configMapRef"]["name"]
        for pod in pods(rendered(overlay))
        for container in pod.containers
        for source in container.get("envFrom", [])
    }
    assert {name.rpartition("-")[0] for name in taken} >= SERVICES
    assert all(len(name.rpartition("-")[2]) == 10 for name in taken), "a name must change with its content"


def test_replicas_of_the_orchestrator_have_a_stable_name(overlay: str, rendered: Rendered) -> None:
    orchestrator = named(rendered(overlay), "StatefulSet", "orchestrator")
    assert orchestrator["spec"]["podManagementPolicy"] == "Parallel"
    [container] = orchestrator["spec"]["template"]["spec"]["containers"]
    environment = {each["name"]: each.get("valueFrom") for each in container["env"]}
    assert environment["DBOS__VMID"] == {"fieldRef": {"fieldPath": "metadata.name"}}


def test_there_is_never_a_second_trainer(overlay: str, rendered: Rendered) -> None:
    trainer = named(rendered(overlay), "Deployment", "trainer")
    assert trainer["spec"]["replicas"] == 1
    assert trainer["spec"]["strategy"] == {"type": "Recreate"}


@pytest.mark.parametrize("trial", TRIALS)
def test_a_trial_wants_no_gpu_and_nothing_that_a_bare_cluster_lacks(trial: str, rendered: Rendered) -> None:
    objects = rendered(trial)
    assert "nvidia.com" not in json.dumps(objects)
    assert {each["apiVersion"].partition("/")[0] for each in objects} <= {
        "v1",
        "apps",
        "policy",
        "networking.k8s.io",
        RBAC,
        "kopf.dev",  # deploy/k8s/crd
    }
    [claim] = of_kind(objects, "PersistentVolumeClaim")
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]
    assert "storageClassName" not in claim["spec"]


def test_kind_pulls_none_of_our_images(rendered: Rendered) -> None:
    policies = {
        container["image"]: container.get("imagePullPolicy")
        for pod in pods(rendered("kind"))
        for container in pod.containers
    }
    assert {image: policy for image, policy in policies.items() if image.startswith("candor/")} == {
        image: "Never" for image in policies if image.startswith("candor/")
    }


@pytest.mark.parametrize("trial", TRIALS)
def test_only_the_orchestrator_reaches_the_database_without_a_password(trial: str, rendered: Rendered) -> None:
    policy = named(rendered(trial), "NetworkPolicy", "postgres")
    assert policy["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/name"] == "postgres"
    [rule] = policy["spec"]["ingress"]
    assert rule["from"] == [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "orchestrator"}}}]


@pytest.mark.parametrize("cloud", CLOUDS)
def test_a_cloud_speaks_no_plaintext(cloud: str, rendered: Rendered) -> None:
    objects = rendered(cloud)
    assert "PLAINTEXT" not in json.dumps(objects)
    secrets = {each["spec"]["secretName"] for each in of_kind(objects, "Certificate")}
    for service in (*SERVICES, "inference-gpu"):
        told = config(objects, service)
        prefix = f"CANDOR_{service.removesuffix('-gpu').upper()}_TLS_"
        assert {told[f"{prefix}{name}"] for name in ("CERT_FILE", "KEY_FILE", "CLIENT_CA_FILE")} == {
            f"/etc/candor/tls/{name}" for name in ("tls.crt", "tls.key", "ca.crt")
        }
    told = config(objects, "operator")
    assert {told[f"CANDOR_OPERATOR_TLS_{name}"] for name in ("CA_FILE", "CERT_FILE", "KEY_FILE")} == {
        f"/etc/candor/tls/{name}" for name in ("ca.crt", "tls.crt", "tls.key")
    }
    mounted = {pod.volumes["tls"]["secret"]["secretName"] for pod in pods(objects) if "tls" in pod.volumes}
    assert mounted == {f"{service}-tls" for service in (*SERVICES, "operator")}
    assert mounted <= secrets


@pytest.mark.parametrize("cloud", CLOUDS)
def test_a_certificate_is_for_every_name_that_it_is_called_by(cloud: str, rendered: Rendered) -> None:
    objects = rendered(cloud)
    names_of_services = {each["metadata"]["name"] for each in of_kind(objects, "Service")}
    by_secret = {each["spec"]["secretName"]: each["spec"]["dnsNames"] for each in of_kind(objects, "Certificate")[1:]}
    for pod in pods(objects):
        if "tls" in pod.volumes:
            name = pod.owner["metadata"]["name"]
            names = by_secret[pod.volumes["tls"]["secret"]["secretName"]]
            called_by = {name, f"{name}.candor.svc"} if name in names_of_services else {name}
            assert called_by <= set(names)


@pytest.mark.parametrize(
    ("cloud", "label"),
    [
        ("gke", "cloud.google.com/gke-nodepool"),
        ("eks", "eks.amazonaws.com/nodegroup"),
        ("aks", "kubernetes.azure.com/agentpool"),
    ],
)
def test_only_checkpoints_and_training_run_on_gpus_of_the_cloud_s_pools(
    cloud: str, label: str, rendered: Rendered
) -> None:
    objects = rendered(cloud)
    targets = json.loads(config(objects, "orchestrator")["CANDOR_ORCHESTRATOR_INFERENCE_TARGETS"])
    assert targets == {"endpoint": "dns:///inference:50051", "checkpoint": "dns:///inference-gpu:50051"}
    wanting = [pod for pod in pods(objects) if "nvidia.com/gpu" in json.dumps(pod.spec["containers"])]
    assert {pod.owner["metadata"]["name"] for pod in wanting} == {"inference-gpu", "training"}
    for pod in wanting:
        assert list(pod.spec["nodeSelector"]) == [label]
        assert "nvidia.com/gpu" in {each["key"] for each in pod.spec["tolerations"]}
        assert pod.containers[0]["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert len({pod.spec["nodeSelector"][label] for pod in wanting}) == 2, (
        "training must not take the nodes of inference"
    )


@pytest.mark.parametrize("cloud", CLOUDS)
def test_what_is_not_said_is_not_allowed_on_the_network(cloud: str, rendered: Rendered) -> None:
    deny = named(rendered(cloud), "NetworkPolicy", "default-deny")["spec"]
    assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for policy in of_kind(rendered(cloud), "NetworkPolicy"):
        for rule in policy["spec"].get("egress", []):
            blocks = [peer["ipBlock"] for peer in rule.get("to", []) if "ipBlock" in peer]
            open_to_all = [block for block in blocks if block["cidr"] == "0.0.0.0/0"]
            assert all("169.254.0.0/16" in block["except"] for block in open_to_all)


@pytest.mark.parametrize(
    ("cloud", "resolvers"),
    [
        ("gke", {"169.254.20.10/32", "169.254.169.254/32"}),
        ("aks", {"169.254.20.10/32", "169.254.10.11/32"}),
        ("eks", {"169.254.20.10/32"}),
    ],
)
def test_a_cloud_s_resolver_is_reached_and_nothing_else_at_its_address(
    cloud: str, resolvers: set[str], rendered: Rendered
) -> None:
    found = set()
    for policy in of_kind(rendered(cloud), "NetworkPolicy"):
        for rule in policy["spec"].get("egress", []):
            blocks = {peer["ipBlock"]["cidr"] for peer in rule.get("to", []) if "ipBlock" in peer}
            if local := {block for block in blocks if block.startswith("169.254.")}:
                ports = {(each["protocol"], each["port"]) for each in rule["ports"]}
                assert ports == {("UDP", 53), ("TCP", 53)}, "the same address may serve a node's credentials"
                found |= local
    assert found == resolvers


@pytest.mark.parametrize("cloud", CLOUDS)
def test_the_database_s_address_is_in_a_secret(cloud: str, rendered: Rendered) -> None:
    [container] = named(rendered(cloud), "StatefulSet", "orchestrator")["spec"]["template"]["spec"]["containers"]
    url = next(each for each in container["env"] if each["name"] == "CANDOR_ORCHESTRATOR_LEDGER_URL")
    assert url["valueFrom"] == {"secretKeyRef": {"name": "candor-postgres", "key": "url"}}


def test_another_namespace_is_one_line(overlay: str, tmp_path: Path) -> None:
    up = os.path.relpath(K8S, tmp_path)
    kustomization = {"namespace": "elsewhere", "resources": [f"{up}/overlays/{overlay}"]}
    (tmp_path / "kustomization.yaml").write_text(json.dumps(kustomization))
    objects = render(tmp_path)
    assert findings(objects) == []
    assert {each["metadata"]["namespace"] for each in objects if "namespace" in each["metadata"]} == {"elsewhere"}


def test_an_image_is_replaced_in_one_place(tmp_path: Path) -> None:
    overlay = {
        "resources": [f"{os.path.relpath(K8S, tmp_path)}/overlays/gke"],
        "images": [{"name": "candor/inference", "newName": "mine/inference", "newTag": "7"}],
    }
    (tmp_path / "kustomization.yaml").write_text(json.dumps(overlay))
    images = {container["image"] for pod in pods(render(tmp_path)) for container in pod.containers}
    assert "mine/inference:7" in images
    assert not [image for image in images if image.startswith("candor/inference")]


@pytest.mark.parametrize("cloud", CLOUDS)
def test_only_the_orchestrator_may_call_services_and_only_our_clients_may_call_it(
    cloud: str, rendered: Rendered
) -> None:
    objects = rendered(cloud)
    callers = read_callers(base64.b64decode(named(objects, "Secret", "candor-callers")["data"]["callers.json"]))
    assert callers.by_token == {}, "no token is in the repository"
    scopes = {name: set(caller.scopes) for name, caller in callers.by_certificate.items()}
    assert scopes == {
        "orchestrator": {"rewriter", "trainer", "inference", "grader"},
        "operator": {"orchestrator"},
        "cli": {"orchestrator"},
    }
    names = {name for each in of_kind(objects, "Certificate") for name in each["spec"].get("dnsNames", [])}
    assert scopes.keys() <= names


@pytest.mark.parametrize("cloud", CLOUDS)
def test_inference_may_be_scaled_to_zero_because_the_orchestrator_waits_for_it(cloud: str, rendered: Rendered) -> None:
    objects = rendered(cloud)
    scaled = named(objects, "ScaledObject", "inference-gpu")["spec"]
    assert scaled["minReplicaCount"] == 0
    assert any("candor_inference_demand" in trigger["metadata"]["query"] for trigger in scaled["triggers"])
    assert int(config(objects, "orchestrator")["CANDOR_ORCHESTRATOR_INFERENCE_WAKE_SECONDS"]) >= 600


def test_the_command_line_in_the_operator_s_pod_knows_the_orchestrator(
    overlay: str, rendered: Rendered, tmp_path: Path
) -> None:
    objects = Objects(rendered(overlay))
    told = Template.of(objects.get("Deployment", "operator"), objects, tmp_path)._environment("operator-0")
    orchestrator, *tls = (
        get_args(option)[1].envvar for option in (OrchestratorOption, TlsCaOption, TlsCertOption, TlsKeyOption)
    )
    files = [f"/etc/candor/tls/{name}" for name in ("ca.crt", "tls.crt", "tls.key")]
    assert told[orchestrator] == "dns:///orchestrator:50051"
    assert [told.get(name) for name in tls] == (files if overlay in CLOUDS else [None, None, None])


def test_the_way_to_the_cluster_s_issuer_that_security_md_shows_is_good(tmp_path: Path) -> None:
    [shown] = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "security.md").read_text(), re.DOTALL)
    overlay = f"resources: [{os.path.relpath(K8S, tmp_path)}/overlays/gke]\n"
    (tmp_path / "kustomization.yaml").write_text(overlay + shown)
    objects = render(tmp_path)
    assert findings(objects) == []
    assert config(objects, "grader")["CANDOR_GRADER_OIDC__CLAIM"] == "sub"
    reaching = named(objects, "NetworkPolicy", "to-api-server")["spec"]["podSelector"]
    assert matches(reaching, named(objects, "Deployment", "grader")["spec"]["template"]["metadata"]["labels"])


@pytest.mark.parametrize("cloud", CLOUDS)
def test_a_demand_that_nobody_scrapes_is_not_taken_for_none(cloud: str, rendered: Rendered) -> None:
    scaled = named(rendered(cloud), "ScaledObject", "inference-gpu")["spec"]
    [demand] = [each for each in scaled["triggers"] if "candor_inference_demand" in each["metadata"]["query"]]
    assert demand["metadata"]["ignoreNullValues"] == "false"
    assert demand["metricType"] == "AverageValue", "KEDA has no fallback for other types"
    assert scaled["fallback"]["replicas"] == 1, "without a fallback KEDA scales to none where a trigger fails"


def test_only_who_makes_or_follows_objects_has_a_token_of_the_api_server(overlay: str, rendered: Rendered) -> None:
    having = {
        pod.owner["metadata"]["name"]
        for pod in pods(rendered(overlay))
        if pod.spec.get("automountServiceAccountToken", True)
    }
    assert having == {"trainer", "operator"}


@pytest.mark.parametrize("cloud", CLOUDS)
def test_prometheus_finds_every_pod_and_the_job_s_name_that_the_rules_want(cloud: str, rendered: Rendered) -> None:
    monitor = named(rendered(cloud), "PodMonitor", "candor")["spec"]
    assert monitor["jobLabel"] == "app.kubernetes.io/part-of"
    for pod in pods(rendered(cloud)):
        assert matches(monitor["selector"], pod.labels)
        assert pod.labels["app.kubernetes.io/part-of"] == "candor"
    [rules] = of_kind(rendered(cloud), "PrometheusRule")
    assert 'job="candor"' in json.dumps(rules).replace('\\"', '"')


def test_kueue_queues_training_jobs(composed: Callable[[tuple[str, ...]], list[Object]]) -> None:
    objects = composed(completed(("gpu", "kueue")))
    queue = named(objects, "LocalQueue", "candor-training")
    training = named(objects, "PodTemplate", "training")
    assert training["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == queue["metadata"]["name"]


@pytest.mark.parametrize("cache", ["model-cache", "model-image"])
def test_models_are_read_only_where_checkpoints_run_and_train(
    cache: str, composed: Callable[[tuple[str, ...]], list[Object]]
) -> None:
    mounts = {
        pod.owner["metadata"]["name"]: mount
        for pod in pods(composed(completed((cache, "gpu"))))
        for mount in pod.containers[0]["volumeMounts"]
        if mount["mountPath"] == "/models"
    }
    assert mounts.keys() == {"inference", "inference-gpu", "trainer", "training", "grader"}
    assert all(mount["readOnly"] for mount in mounts.values())


def test_one_node_is_enough_for_the_models_too(composed: Callable[[tuple[str, ...]], list[Object]]) -> None:
    claims = of_kind(composed(completed(("one-node", "model-cache"))), "PersistentVolumeClaim")
    assert {each["metadata"]["name"]: each["spec"]["accessModes"] for each in claims} == {
        "candor-artifacts": ["ReadWriteOnce"],
        "candor-models": ["ReadWriteOnce"],
    }


def test_one_node_and_pools_of_gpus_are_refused(composed: Callable[[tuple[str, ...]], list[Object]]) -> None:
    found = findings(composed(completed(("gpu", "one-node"))))
    assert [each for each in found if "its pods choose different ones: no one-node with pools of GPUs" in each]
