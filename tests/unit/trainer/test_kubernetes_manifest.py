"""The Job that is made from the committed PodTemplate."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from chassis.errors import CandorError, Reason
from services.trainer.backends.kubernetes.manifest import (
    Ways,
    check_places,
    container_of,
    job_manifest,
    job_name,
    pool_of,
    unseen,
)
from services.trainer.domain.job import Job
from services.trainer.domain.spec import Training, TrainingSpec, job_id

TEMPLATE = Path(__file__).parents[3] / "deploy" / "k8s" / "base" / "trainer" / "training.yaml"
ROOT = Path("/var/lib/candor/artifacts")
WAYS = Ways(retries=3, ttl_seconds=60)


@pytest.fixture
def template() -> dict[str, Any]:
    return dict(YAML(typ="safe").load(TEMPLATE.read_text("utf-8")))


def make(template: dict[str, Any], **training: Any) -> dict[str, Any]:
    spec = TrainingSpec(base="/models/b", training=Training(**training), executor="kubernetes", display_name="warm, v2")
    return job_manifest(template, Job(id="0a" * 12, spec=spec), ["-m", "worker"], WAYS)


def test_the_job_is_the_template_with_a_name_arguments_and_a_policy(template: dict[str, Any]) -> None:
    before = copy.deepcopy(template)
    made = make(template)
    assert template == before, "the template stays as it is"
    assert made["metadata"]["name"] == job_name("0a" * 12) == "candor-training-" + "0a" * 12
    assert made["metadata"]["labels"]["app.kubernetes.io/name"] == "training"
    assert "ownerReferences" not in made["metadata"], "it outlives the trainer's Pod"
    pod = made["spec"]["template"]
    assert pod["metadata"]["labels"]["candor.dev/training-job"] == "0a" * 12
    (container,) = pod["spec"]["containers"]
    assert (container["command"], container["args"]) == (["python"], ["-m", "worker"])
    assert pod["spec"]["restartPolicy"] == "Never"
    assert (made["spec"]["suspend"], made["spec"]["ttlSecondsAfterFinished"]) == (False, 60)


def test_pods_that_are_taken_away_do_not_count_and_failures_that_would_come_again_end_the_job(
    template: dict[str, Any],
) -> None:
    spec = make(template)["spec"]
    assert spec["backoffLimit"] == 3
    assert spec["podReplacementPolicy"] == "Failed"
    assert [
        (rule["action"], rule.get("onExitCodes", {}).get("values")) for rule in spec["podFailurePolicy"]["rules"]
    ] == [
        ("Ignore", None),
        ("Ignore", [143]),
        ("FailJob", [3]),
    ]
    assert spec["podFailurePolicy"]["rules"][0]["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]


def test_the_templates_queue_suspends_the_job_until_kueue_lets_it_go(template: dict[str, Any]) -> None:
    template["metadata"]["labels"] = {"kueue.x-k8s.io/queue-name": "gpus"}
    made = make(template)
    assert made["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "gpus"
    assert made["spec"]["suspend"] is True


def test_each_process_gets_a_gpu_of_its_own(template: dict[str, Any]) -> None:
    template["template"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] = 1
    limits = make(template, processes=4)["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert limits["nvidia.com/gpu"] == "4"


def test_the_pool_is_read_from_the_limits(template: dict[str, Any]) -> None:
    container = container_of(template["template"], "training")
    assert pool_of(container) == ("", 16 * 2**30)
    for quantity, size in (("500M", 500_000_000), ("1.5Gi", 3 * 2**29), ("", 0), ("1e3", 0), ("1024", 1024)):
        assert pool_of({"resources": {"limits": {"memory": quantity, "nvidia.com/gpu": 1}}}) == ("nvidia.com/gpu", size)
    assert pool_of({}) == ("", 0)


def test_a_template_that_would_lose_the_jobs_state_is_refused(template: dict[str, Any]) -> None:
    pod = template["template"]
    check_places(pod, ROOT, "training")
    with pytest.raises(CandorError, match=r"mounts no volume at /elsewhere.*CANDOR_TRAINER_ARTIFACTS") as caught:
        check_places(pod, Path("/elsewhere"), "training")
    assert caught.value.reason is Reason.BACKEND_MISSING
    with pytest.raises(CandorError, match="mounts an emptyDir at /tmp/artifacts"):
        check_places(pod, Path("/tmp/artifacts"), "training")
    with pytest.raises(CandorError, match="has no container"):
        container_of({"spec": {"containers": []}}, "training")


def test_files_that_the_pod_may_not_see_are_warned_of(template: dict[str, Any]) -> None:
    paths = {"the base model": "/models/b", "the data set": str(ROOT / "d.jsonl"), "another": "/tmp/x"}
    warning, other = unseen(template["template"], paths, "training")
    assert other.startswith("another (/tmp/x)")
    assert warning.startswith("the base model (/models/b) is on no volume")


def test_where_a_job_trains_is_no_part_of_its_name() -> None:
    here, there = TrainingSpec(base="b", executor="process"), TrainingSpec(base="b", executor="kubernetes")
    assert job_id(here, "d") == job_id(there, "d")
    assert job_id(here, "d") != job_id(replace(here, executor="openai"), "d")
