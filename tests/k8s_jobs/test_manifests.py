"""Every Job is what the API server takes, what our rules want, and ends as its exit codes mean."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from candor_cli.document import read_document
from chassis.errors import ExitCode
from tools.document_settings import options
from tools.manifests import access_rules, job_rules, pod_rules
from tools.manifests.combinations import images
from tools.manifests.objects import Object, of_kind, pods
from tools.manifests.render import K8S, render

RULES = (
    pod_rules.restricted,
    pod_rules.limits,
    access_rules.tokens,
    access_rules.images,
    job_rules.endings,
    job_rules.reattaching,
    job_rules.durable,
)
VERSIONS = ("1.34", "1.35", "1.36", "1.37")
SECURED = ("tls", "token")
Rendered = Callable[..., list[Object]]
JobOf = Callable[[list[Object]], dict[str, Any]]


def findings(objects: list[Object]) -> list[str]:
    return [finding for rule in RULES for finding in rule(objects)]


@pytest.mark.parametrize("components", [(), SECURED], ids=["plaintext", "secured"])
def test_a_job_is_valid_and_keeps_all_rules(name: str, components: tuple[str, ...], rendered: Rendered) -> None:
    objects = rendered(name, *components)
    assert findings(objects) == []
    assert {image for pod in pods(objects) for image in pod.images} <= images()
    for version in VERSIONS:
        for each in objects:
            kubernetes_validate.validate(each, version, strict=True)
    assert {each["metadata"]["namespace"] for each in objects} == {"candor"}


def test_every_exit_code_has_its_rule(name: str, rendered: Rendered, job_of: JobOf) -> None:
    rules = job_of(rendered(name))["podFailurePolicy"]["rules"]
    named = [code for rule in rules for code in rule.get("onExitCodes", {}).get("values", [])]
    assert sorted(named) == sorted([*(int(code) for code in ExitCode if code), 137]), "none is left out, none is twice"


def test_its_document_is_mounted_and_can_be_read(name: str, rendered: Rendered, job_of: JobOf) -> None:
    objects = rendered(name)
    (config,) = of_kind(objects, "ConfigMap")
    pod = job_of(objects)["template"]["spec"]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert volumes["evaluation"]["configMap"]["name"] == config["metadata"]["name"]
    assert pod["containers"][0]["args"][:2] == ["evaluate", "/evaluation/evaluation.yaml"]
    folder = K8S / "jobs" / name.removesuffix("-postgres")
    assert read_document(folder / "evaluation.yaml").spec.baseline == "v1"
    assert set(config["data"]) == {path.name for path in folder.iterdir()} - {
        "kustomization.yaml", "job.yaml", "cronjob.yaml", "state.yaml"
    }  # fmt: skip


def test_every_variable_stands_for_an_option(name: str, rendered: Rendered, job_of: JobOf) -> None:
    for components in ((), SECURED):
        (container,) = job_of(rendered(name, *components))["template"]["spec"]["containers"]
        told = {each["name"] for each in container["env"] if each["name"].startswith("CANDOR_")}
        assert told <= options().keys()


def test_a_night_s_job_is_the_plain_one_asked_anew(rendered: Rendered, job_of: JobOf) -> None:
    """The two are written out twice, to be read alone; they differ in what the nightly one says about itself."""
    plain, nightly = job_of(rendered("evaluate")), job_of(rendered("nightly"))
    assert nightly.pop("activeDeadlineSeconds") < 24 * 3600
    nightly["template"]["spec"]["containers"][0]["args"].remove("--new")
    for job in (plain, nightly):
        job["template"]["spec"]["volumes"][0]["configMap"]["name"] = "evaluation"
    assert nightly == plain
    (cron,) = of_kind(rendered("nightly"), "CronJob")
    assert cron["spec"]["concurrencyPolicy"] == "Forbid"
    assert cron["spec"]["timeZone"]
    assert cron["spec"]["startingDeadlineSeconds"] >= 100, "less and a slow controller misses its run"
    assert {"successfulJobsHistoryLimit", "failedJobsHistoryLimit"} <= cron["spec"].keys()


def test_a_secured_client_sends_its_token_over_mutual_tls(rendered: Rendered, job_of: JobOf) -> None:
    for name in ("evaluate", "nightly"):
        pod = job_of(rendered(name, *SECURED))["template"]["spec"]
        (container,) = pod["containers"]
        mounts = tuple(mount["mountPath"] for mount in container["volumeMounts"])
        files = {each["name"]: each["value"] for each in container["env"] if each["name"].startswith(("CANDOR_T",))}
        assert files.keys() == {"CANDOR_TLS_CA", "CANDOR_TLS_CERT", "CANDOR_TLS_KEY", "CANDOR_TOKEN_FILE"}
        assert all(path.startswith(mounts) for path in files.values())
        secrets = {each["secret"]["secretName"] for each in pod["volumes"] if "secret" in each}
        assert secrets == {"cli-tls", "candor-tokens"}
        assert pod["securityContext"]["fsGroup"] == container.get("runAsGroup", 65532), "or it cannot read them"


def test_the_kustomization_of_the_readme_gives_a_job_with_one_s_own_document(tmp_path: Path) -> None:
    text = re.findall(r"```yaml\n(.+?)```", (K8S / "jobs/README.md").read_text(encoding="utf-8"), re.DOTALL)[0]
    (tmp_path / "kustomization.yaml").write_text(
        text.replace("../candor/deploy", os.path.relpath(K8S.parent, tmp_path))
    )
    (tmp_path / "evaluation.yaml").write_text("name: mine\n")
    (tmp_path / "questions.jsonl").write_text("{}\n")
    objects = render(tmp_path)
    assert findings(objects) == []
    (config,), (job,) = of_kind(objects, "ConfigMap"), of_kind(objects, "Job")
    assert config["data"] == {"evaluation.yaml": "name: mine\n", "questions.jsonl": "{}\n"}
    assert job["metadata"]["name"] == "evaluate-v7"
    sources = [volume.get("configMap", {}).get("name") for volume in job["spec"]["template"]["spec"]["volumes"]]
    assert config["metadata"]["name"] in sources


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"emptyDir": {"sizeLimit": "1Gi"}}, "CANDOR_STATE lies on emptyDir"),
        ({"ephemeral": {"volumeClaimTemplate": {}}}, "CANDOR_STATE lies on ephemeral"),
        ({"configMap": {"name": "embedded"}}, "CANDOR_STATE lies on configMap"),
    ],
)
def test_everything_in_one_pod_is_refused_where_its_state_would_go_with_it(
    rendered: Rendered, job_of: JobOf, source: dict[str, Any], said: str
) -> None:
    objects = rendered("embedded")
    pod = job_of(objects)["template"]["spec"]
    state = next(volume for volume in pod["volumes"] if volume["name"] == "state")
    state.clear()
    state.update(name="state", **source)
    (finding,) = job_rules.durable(objects)
    assert said in finding
    assert "persistentVolumeClaim" in finding
    pod["containers"][0]["volumeMounts"] = []
    assert ["no volume" in each for each in job_rules.durable(objects)] == [True]


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lambda job: job["podFailurePolicy"]["rules"].reverse(), "in this order"),
        (lambda job: job["podFailurePolicy"]["rules"][0].pop("onPodConditions"), "the first rule must be"),
        (lambda job: job["podFailurePolicy"]["rules"][1]["onExitCodes"]["values"].remove(3), "FailJob must be for"),
        (lambda job: job["podFailurePolicy"]["rules"][2]["onExitCodes"].update(containerName="x"), "which there is not"),
        (lambda job: job.pop("ttlSecondsAfterFinished"), "must be a week"),
        (lambda job: job.update(backoffLimit=6), "must be 3"),
        (lambda job: job["template"]["spec"].update(restartPolicy="OnFailure"), "restartPolicy must be Never"),
        (lambda job: job["template"]["spec"]["containers"][0]["env"].clear(), "CANDOR_MESSAGE_FILE must be"),
        (lambda job: job["template"]["spec"]["containers"][0].pop("terminationMessagePolicy"), "FallbackToLogsOnError"),
        (lambda job: job["template"]["spec"]["containers"][0]["env"].clear(), "CANDOR_REQUEST_ID must come from"),
    ],
)  # fmt: skip
def test_a_rule_finds_what_is_broken(
    rendered: Rendered, job_of: JobOf, break_it: Callable[[dict[str, Any]], Any], said: str
) -> None:
    objects = rendered("evaluate")
    break_it(job_of(objects))
    assert [each for each in findings(objects) if said in each]
