"""What becomes of a Pod template: nothing is passed over that would change how it runs."""

from pathlib import Path
from typing import Any

import pytest

from tools.containers.objects import Objects
from tools.containers.template import Template, UnknownFieldError

_LABELS = {"app.kubernetes.io/name": "grader"}
_CONFIG = {"kind": "ConfigMap", "metadata": {"name": "grader"}, "data": {"A": "1"}}
_TOKEN = {"kind": "Secret", "metadata": {"name": "tokens"}, "data": {"cli": "c2VjcmV0"}}
_SERVICE = {"kind": "Service", "metadata": {"name": "grader"}, "spec": {"selector": _LABELS}}


def template(folder: Path, container: dict[str, Any], **pod: Any) -> Template:
    objects = Objects([_CONFIG, _TOKEN, _SERVICE])
    spec = {"containers": [{"name": "service", "image": "candor/grader:0.1.0", **container}], **pod}
    return Template({"labels": _LABELS}, spec, objects, folder)


def test_a_locked_down_container_is_started_locked_down(tmp_path: Path) -> None:
    security = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    found = template(
        tmp_path, {"securityContext": security}, securityContext={"runAsUser": 65532, "fsGroup": 7}
    ).arguments("grader-0", "image")

    text = " ".join(found)
    assert "--user 65532:65532 --group-add 7 --read-only --read-only-tmpfs=false --cap-drop=ALL" in text
    assert "--security-opt no-new-privileges" in text


def test_variables_come_from_maps_secrets_fields_and_values_and_are_put_into_arguments(tmp_path: Path) -> None:
    container = {
        "envFrom": [{"configMapRef": {"name": "grader"}}, {"secretRef": {"name": "missing", "optional": True}}],
        "env": [
            {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "tokens", "key": "cli"}}},
            {"name": "ME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "A", "value": "2"},
        ],
        "command": ["python", "-m"],
        "args": ["--name=$(ME)", "$(UNKNOWN)"],
    }

    found = template(tmp_path, container).arguments("grader-0", "image")

    variables = [found[at + 1] for at, word in enumerate(found) if word == "--env"]
    assert sorted(variables) == ["A=2", "ME=grader-0", "TOKEN=secret"]
    assert found[-6:] == ["--entrypoint", "python", "image", "-m", "--name=grader-0", "$(UNKNOWN)"]


def test_claims_are_shared_by_pods_and_empty_folders_are_not(tmp_path: Path) -> None:
    mounts = [{"name": "tmp", "mountPath": "/tmp"}, {"name": "data", "mountPath": "/data", "readOnly": True}]
    volumes = [{"name": "tmp", "emptyDir": {}}, {"name": "data", "persistentVolumeClaim": {"claimName": "artifacts"}}]
    pods = template(tmp_path, {"volumeMounts": mounts}, volumes=volumes)

    one, other = (
        {word for word in pods.arguments(name, "image") if word.startswith(str(tmp_path))} for name in ("a", "b")
    )

    assert one & other == {f"{tmp_path}/claims/artifacts:/data:ro"}


def test_a_secret_that_is_missing_is_named(tmp_path: Path) -> None:
    pod = template(tmp_path, {"envFrom": [{"secretRef": {"name": "candor-tokens"}}]})

    with pytest.raises(KeyError, match="candor-tokens"):
        pod.arguments("grader-0", "image")


def test_a_field_that_the_runner_does_not_know_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownFieldError, match="hostNetwork, workingDir"):
        template(tmp_path, {"workingDir": "/x"}, hostNetwork=True).arguments("grader-0", "image")


def test_services_are_found_by_their_selectors(tmp_path: Path) -> None:
    objects = template(tmp_path, {}).objects

    assert objects.services_of({**_LABELS, "pod-template-hash": "1"}) == ["grader"]
    assert objects.services_of({"app.kubernetes.io/name": "rewriter"}) == []
