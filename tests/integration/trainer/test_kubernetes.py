"""Training as a Job of a cluster: what a Pod waits for is told, failures have names, the cluster's troubles pass."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from candor.trainer.v1 import trainer_pb2 as pb

from chassis.errors import CandorError
from chassis.rpc_errors import from_rpc_error
from chassis.testing.fake_kubernetes import Account, Hands, Node, Refused
from services.trainer.backends.kubernetes import following

Spec = Callable[..., pb.TrainingSpec]
Trouble = Callable[[Hands, str], object]

NO_GPU = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
NO_CLAIM = '0/3 nodes are available: persistentvolumeclaim "candor-artifacts" not found.'
NO_QUOTA = (
    'Error creating: pods "x" is forbidden: exceeded quota: gpus, requested: nvidia.com/gpu=1, used: 4, limited: 4'
)

TROUBLES: dict[str, tuple[Trouble, str]] = {
    "no GPU": (lambda hands, job: hands.unschedulable(hands.start_pod(job), NO_GPU), "no GPU is free: "),
    "no claim": (lambda hands, job: hands.unschedulable(hands.start_pod(job), NO_CLAIM), "a volume is missing: "),
    "image": (
        lambda hands, job: hands.waiting(hands.start_pod(job), "ImagePullBackOff", "Back-off pulling image"),
        "the image candor/trainer cannot be pulled: ImagePullBackOff: ",
    ),
    "secret": (
        lambda hands, job: hands.waiting(hands.start_pod(job), "CreateContainerConfigError", 'secret "s" not found'),
        "the container cannot be set up: CreateContainerConfigError: ",
    ),
    "quota": (
        lambda hands, job: hands.event("Job", job, "FailedCreate", NO_QUOTA),
        "the namespace's quota has no room for the Pod: ",
    ),
}


def created(spec: pb.TrainingSpec) -> pb.CreateTrainingJobRequest:
    return pb.CreateTrainingJobRequest(spec=spec)


def got(name: str) -> pb.GetTrainingJobRequest:
    return pb.GetTrainingJobRequest(name=name)


def short(job: pb.TrainingJob) -> str:
    return str(job.name).removeprefix("trainingJobs/")


def report(folder: Path, kind: str, **values: Any) -> None:
    """As the worker in a Pod does."""
    with (folder / "reports.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"kind": kind, **values}) + "\n")


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_what_a_pod_waits_for_is_the_jobs_state_until_it_trains(
    serve: Any, cluster: Any, make_spec: Spec, watch: Any, trouble: str
) -> None:
    happens, told = TROUBLES[trouble]
    async with serve(cluster.root, **cluster.settings) as stub:
        job = await stub.CreateTrainingJob(created(make_spec()))
        assert job.spec.executor == "kubernetes", "the server's choice, where the spec has none"
        name = await asyncio.to_thread(cluster.job, short(job))
        await asyncio.to_thread(happens, cluster.hands, name)
        events = await watch(stub, job.name, lambda event: event.message.startswith(told))
        assert events[-1].state == "PENDING"
        waiting = await stub.GetTrainingJob(got(job.name))
        assert waiting.state == "PENDING"
        assert waiting.reason == events[-1].message

        report(cluster.root / "training" / short(job), "started", step=0, versions={"torch": "2"})
        events = await watch(stub, job.name, lambda event: event.message == "training")
        assert events[-1].state == "RUNNING"
        assert (await stub.GetTrainingJob(got(job.name))).reason == ""


async def test_a_wait_that_takes_too_long_fails_the_job_and_frees_its_place(
    serve: Any, cluster: Any, make_spec: Spec, watch: Any
) -> None:
    patient = cluster.settings["kubernetes"].model_copy(update={"place_seconds": 1.0})
    async with serve(cluster.root, **cluster.settings | {"kubernetes": patient}) as stub:
        job = await stub.CreateTrainingJob(created(make_spec()))
        name = await asyncio.to_thread(cluster.job, short(job))
        pod = await asyncio.to_thread(cluster.hands.start_pod, name)
        await asyncio.to_thread(cluster.hands.unschedulable, pod, NO_GPU)
        await watch(stub, job.name)
        failed = await stub.GetTrainingJob(got(job.name))
        assert (failed.state, failed.failure_reason) == ("FAILED", "TRAINING_NOT_STARTED")
        assert "within 1 s (CANDOR_TRAINER_KUBERNETES__PLACE_SECONDS): no GPU is free: 0/3 nodes" in failed.reason
        assert not cluster.hands.jobs()
        assert not cluster.hands.pods()


async def test_a_queue_lets_the_job_go(serve: Any, cluster: Any, make_spec: Spec, watch: Any) -> None:
    cluster.template(lambda known: known["metadata"].update(labels={"kueue.x-k8s.io/queue-name": "gpus"}))
    async with serve(cluster.root, **cluster.settings) as stub:
        job = await stub.CreateTrainingJob(created(make_spec()))
        name = await asyncio.to_thread(cluster.job, short(job))
        (made,) = cluster.hands.jobs()
        assert made["spec"]["suspend"] is True
        await watch(stub, job.name, lambda event: event.message == "waits in the queue gpus")
        cluster.hands.client.patch(f"{cluster.hands.batch}/jobs/{name}", {"spec": {"suspend": False}})
        pod = await asyncio.to_thread(cluster.hands.start_pod, name)
        await asyncio.to_thread(cluster.hands.unschedulable, pod, NO_GPU)
        await watch(stub, job.name, lambda event: event.message.startswith("no GPU is free"))


SCRIPT = """
import json, pathlib, sys
print("loading"); print("ValueError: shapes do not fit")
folder = next(pathlib.Path(each) for each in sys.argv if "/training/" in each)
told = {told}
if told:
    with (folder / "reports.jsonl").open("a") as file:
        file.write(json.dumps({{"kind": "started", "step": 0, "versions": {{}}}}) + "\\n" + json.dumps(told) + "\\n")
sys.exit({code})
"""


@pytest.fixture
def fast_volume(monkeypatch: pytest.MonkeyPatch) -> None:
    """A report that is lost is not waited for so long."""
    monkeypatch.setattr(following, "_LAG_SECONDS", 1.0)


@pytest.mark.usefixtures("fast_volume")
@pytest.mark.parametrize(
    ("told", "code", "expected", "pods"),
    [
        (
            {"kind": "failed", "reason": "OUT_OF_MEMORY", "message": "out of memory while training"},
            3,
            ("OUT_OF_MEMORY", "out of memory while training"),
            1,
        ),
        (None, 1, ("TRAINING_FAILED", "ends with: loading / ValueError: shapes do not fit"), 2),
        (None, 3, ("TRAINING_FAILED", "PodFailurePolicy"), 1),
    ],
    ids=["told", "a defect, tried again", "told, the report lost"],
)
async def test_a_pod_that_fails_fails_the_job_with_a_reason_and_the_log(
    serve: Any, cluster: Any, make_spec: Spec, watch: Any, told: Any, code: int, expected: tuple[str, str], pods: int
) -> None:
    command = ["python", "-c", SCRIPT.format(told=told, code=code)]
    cluster.template(lambda known: known["template"]["spec"]["containers"][0].update(command=command))
    with Node(cluster.server, cluster.hands) as node:
        async with serve(cluster.root, **cluster.settings) as stub:
            job = await stub.CreateTrainingJob(created(make_spec()))
            await watch(stub, job.name)
            failed = await stub.GetTrainingJob(got(job.name))
        assert (failed.state, failed.failure_reason) == ("FAILED", expected[0])
        assert expected[1] in failed.reason
        assert len(node.pods) == pods
    assert "shapes do not fit" in (cluster.root / "training" / short(job) / "log.txt").read_text("utf-8")
    assert not cluster.hands.jobs(), "it is not tried again behind the trainer's back"


async def test_a_cluster_in_trouble_gets_one_job_all_the_same(
    serve: Any, cluster: Any, make_spec: Spec, watch: Any
) -> None:
    cluster.server.refuse(500, left=2, what="GET .*/jobs/.*")
    cluster.server.refuse(429, left=1, what="POST .*/jobs", retry_after=1)
    cluster.server.refuse(504, left=1, what="POST .*/jobs", carried_out=True)
    async with serve(cluster.root, **cluster.settings) as stub:
        job = await stub.CreateTrainingJob(created(make_spec()))
        name = await asyncio.to_thread(cluster.job, short(job))
        report(cluster.root / "training" / short(job), "started", step=0, versions={})
        await watch(stub, job.name, lambda event: event.message == "training")
        cluster.server.refuse(503, left=3, what="GET .*/jobs/.*")
        report(cluster.root / "training" / short(job), "ended", finished=True)
        await watch(stub, job.name)
        assert (await stub.GetTrainingJob(got(job.name))).state == "SUCCEEDED"
    assert [each["metadata"]["name"] for each in cluster.hands.jobs()] == [name]


async def test_a_job_that_somebody_deletes_is_told(serve: Any, cluster: Any, make_spec: Spec, watch: Any) -> None:
    async with serve(cluster.root, **cluster.settings) as stub:
        job = await stub.CreateTrainingJob(created(make_spec()))
        name = await asyncio.to_thread(cluster.job, short(job))
        cluster.hands.client.delete(f"{cluster.hands.batch}/jobs/{name}", propagationPolicy="Background")
        await watch(stub, job.name)
        failed = await stub.GetTrainingJob(got(job.name))
        assert f"somebody deleted the Job {name}" in failed.reason


async def refusal(call: Any) -> CandorError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return from_rpc_error(caught.value, "trainer")


async def test_a_cluster_that_is_not_prepared_is_found_before_anything_is_paid_for(
    serve: Any, cluster: Any, make_spec: Spec
) -> None:
    async with serve(cluster.root, **cluster.settings) as stub:
        request = pb.CheckTrainingJobRequest(spec=make_spec())
        preflight = await stub.CheckTrainingJob(request)
        assert preflight.device == "a Pod of the template training"
        assert preflight.time_basis.startswith("not estimated: the job trains in a Pod")
        assert any("is on no volume of PodTemplate training" in warning for warning in preflight.warnings)
        cluster.template(
            lambda known: known["template"]["spec"].update(volumes=[{"name": "artifacts", "emptyDir": {}}])
        )
        assert "mounts an emptyDir" in (await refusal(stub.CheckTrainingJob(request))).message
        cluster.hands.client.delete(f"{cluster.hands.core}/podtemplates/training")
        absent = await refusal(stub.CheckTrainingJob(request))
        assert absent.reason.value == "BACKEND_MISSING"
        assert 'podtemplates "training" not found; apply deploy/k8s/base/trainer' in absent.message


async def test_a_trainer_without_rights_says_which_role_it_lacks(
    serve: Any, cluster: Any, make_spec: Spec, watch: Any, tmp_path: Path
) -> None:
    rules = [{"apiGroups": [""], "resources": ["podtemplates"], "verbs": ["get"]}]
    cluster.server.account("t", Account("system:serviceaccount:candor:trainer", rules, "candor"))
    file = cluster.server.kubeconfig(tmp_path / "mine", token="t", namespace="candor")
    settings = cluster.settings["kubernetes"].model_copy(update={"kubeconfig": file})
    async with serve(cluster.root, **cluster.settings | {"kubernetes": settings}) as stub:
        job = await stub.CreateTrainingJob(created(make_spec()))
        await watch(stub, job.name)
        failed = await stub.GetTrainingJob(got(job.name))
        assert failed.failure_reason == "TRAINING_NOT_STARTED"
        assert 'User "system:serviceaccount:candor:trainer" cannot get resource "jobs"' in failed.reason
        assert "give its account the Role of deploy/k8s/base/trainer" in failed.reason


async def test_a_token_that_is_over_is_read_again(
    serve: Any, cluster: Any, make_spec: Spec, watch: Any, tmp_path: Path
) -> None:
    cluster.server.account("old", Account("trainer"))
    file = cluster.server.kubeconfig(tmp_path / "mine", token="old", namespace="candor")
    settings = cluster.settings["kubernetes"].model_copy(update={"kubeconfig": file})
    async with serve(cluster.root, **cluster.settings | {"kubernetes": settings}) as stub:
        await stub.CheckTrainingJob(pb.CheckTrainingJobRequest(spec=make_spec()))
        cluster.server.account("new", Account("trainer"))
        cluster.server.forget("old")
        cluster.server.kubeconfig(file, token="new", namespace="candor")
        await stub.CheckTrainingJob(pb.CheckTrainingJobRequest(spec=make_spec()))
    with pytest.raises(Refused, match="Unauthorized"):
        cluster.hands.jobs()
