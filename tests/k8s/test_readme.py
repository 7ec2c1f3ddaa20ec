"""deploy/k8s/README.md says what is there, and what it tells people to write works."""

from __future__ import annotations

import json
import os
import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from chassis.auth.callers import read_callers
from tools.manifests.access_rules import CALLERS
from tools.manifests.check import findings
from tools.manifests.combinations import completed, components, images
from tools.manifests.objects import Object, of_kind, pods
from tools.manifests.pod_rules import SECRETS
from tools.manifests.render import K8S, ROOT, render

README = (K8S / "README.md").read_text(encoding="utf-8")


def test_it_names_every_component_and_every_overlay() -> None:
    table = README.partition("## Components")[2]
    named = {
        name for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in re.findall(r"`([\w-]+)`", row)
    }
    assert named == components()
    for path in (K8S / "overlays").glob("*/kustomization.yaml"):
        assert path.parent.name in README


def test_the_paths_in_its_commands_exist() -> None:
    found = set(re.findall(r"(?<![\w/])deploy/k8s/[\w./-]*[\w-]", README))
    assert {path for path in found if not (ROOT / path).exists()} == set()


def test_the_secrets_that_people_make_are_those_that_pods_want() -> None:
    said = set(re.findall(r"create secret generic (\S+)", README))
    assert said == {"candor-postgres", "candor-credentials"} <= SECRETS


def team() -> dict[str, Any]:
    """The entry of a team that may call the grader."""
    found: dict[str, Any] = json.loads("{" + re.findall(r'^    ("team-a": .*)$', README, re.MULTILINE)[0] + "}")
    return found


def certificate() -> Object:
    """The certificate of that team, where `kubectl -n candor` puts it."""
    [text] = re.findall(r"kubectl -n candor apply -f - <<'END'\n(.*?)\n    END\n", README, re.DOTALL)
    found: Object = yaml.safe_load(textwrap.dedent(text))
    found["metadata"]["namespace"] = "candor"
    return found


def test_a_team_is_known_by_the_certificate_that_it_is_given() -> None:
    made = certificate()["spec"]
    issuer = made["issuerRef"]
    assert (issuer["kind"], issuer["name"]) in {
        (each["kind"], each["metadata"]["name"])
        for each in yaml.safe_load_all((K8S / "components" / "tls" / "issuers.yaml").read_text())
    }
    callers = read_callers(json.dumps(team()).encode()).by_certificate
    assert [callers[name].scopes for name in made["dnsNames"]] == [{"grader"}]


def test_a_cluster_gets_every_image_and_first_of_all_the_definitions() -> None:
    section = README.partition("## Your cluster")[2].partition("## Components")[0]
    [built] = re.findall(r"^IMAGES \?= (.+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    [pushed] = re.findall(r"for name in (.+); do docker push", section)
    assert pushed == built
    steps = ("make images", "docker push", "-k deploy/k8s/crd", "create secret", "-k YOUR_FOLDER")
    assert sorted(steps, key=section.index) == list(steps)


def test_the_pod_that_fills_models_is_one_that_the_namespace_takes(
    composed: Callable[[tuple[str, ...]], list[Object]],
) -> None:
    pod = yaml.safe_load((K8S / "fill-models.yaml").read_text(encoding="utf-8"))
    claims = [
        each for each in of_kind(composed(completed(("model-cache",))), "PersistentVolumeClaim")
        if each["metadata"]["name"] == "candor-models"
    ]  # fmt: skip
    namespace = of_kind(composed(completed(("model-cache",))), "Namespace")
    assert findings([*namespace, *claims, pod]) == []
    kubernetes_validate.validate(pod, "1.34", strict=True)
    [container] = next(pods([pod])).containers
    assert container["volumeMounts"] == [{"name": "models", "mountPath": "/models"}], "to write, where others read"
    assert container["image"] in images()
    assert container["image"].partition(":")[0] in re.findall(r"sed 's\|(\S+)\|YOUR/", README)


def test_the_roots_for_the_database_are_a_file_because_the_driver_s_own_openssl_knows_no_system() -> None:
    [url] = re.findall(r"from-literal=url='(\S+)'", README)
    assert "sslmode=verify-full&sslrootcert=/etc/ssl/certs/ca-certificates.crt" in url
    [pod] = [
        each for each in pods(render(K8S / "overlays" / "gke")) if each.owner["metadata"]["name"] == "orchestrator"
    ]
    [mount] = [each for each in pod.containers[0]["volumeMounts"] if each["name"] == "postgres"]
    [item] = pod.volumes["postgres"]["secret"]["items"]
    assert f"sslrootcert={mount['mountPath']}/{item['path']}`" in README
    assert f"--from-file={item['key']}=" in README


@pytest.mark.parametrize("cloud", ["aks", "eks", "gke"])
def test_its_pools_of_gpus_are_those_that_pods_ask_for(cloud: str, rendered: Callable[[str], list[Object]]) -> None:
    [row] = re.findall(r"^\| `gpu` \| two pools .*", README, re.MULTILINE)
    for name, use in (("inference-gpu", "inference"), ("training", "training")):
        [pod] = [each for each in pods(rendered(cloud)) if each.owner["metadata"]["name"] == name]
        [pool] = pod.spec["nodeSelector"].values()
        requests = pod.containers[0]["resources"]["requests"]
        assert f"`{pool}`" in row
        assert f"{requests['cpu']} CPUs" in row
        assert f"{requests['memory'].removesuffix('Gi')} GiB for {use}" in row


def test_the_overlay_that_it_shows_is_good(tmp_path: Path) -> None:
    [shown] = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    up = os.path.relpath(K8S, tmp_path)
    shown = re.sub(r"\[github.com/\S+/deploy/k8s(/overlays/\w+)\].*", rf"[{up}\1]", shown).replace("YOUR/", "yours/")
    (tmp_path / "kustomization.yaml").write_text(shown)
    (tmp_path / "callers.json").write_text(json.dumps({**json.loads(CALLERS.read_text()), **team()}))
    objects = [*render(tmp_path), certificate()]
    assert "yours/grader:0.1.0" in {each["image"] for pod in pods(objects) for each in pod.containers}
    assert "judge.example.com" in json.dumps(of_kind(objects, "ConfigMap"))
    released = {each["kind"] for each in objects if "release" in each["metadata"].get("labels", {})}
    assert released == {"PodMonitor", "PrometheusRule"}
    assert findings(objects) == []
