"""The services as they run in the cluster: Jobs through them, pods that go, and rollouts that lose nothing."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tools.manifests.objects import Object, of_kind

Rendered = Callable[..., list[Object]]
Start = Callable[..., str]
LOAD = Path(__file__).resolve().parents[2] / "images/steady_load.py"
pytestmark = pytest.mark.timeout(1800)  # the first test installs everything


@pytest.fixture
def start(cluster: Any, installed: Any, rendered: Rendered) -> Iterator[Start]:
    """Starts the Job of jobs/evaluate, with a document of our own or its own."""
    started: list[str] = []

    def made(name: str, document: dict[str, Any] | None = None) -> str:
        objects = rendered("jobs/evaluate")
        (config,), (job,) = of_kind(objects, "ConfigMap"), of_kind(objects, "Job")
        if document is not None:
            config["data"]["evaluation.yaml"] = json.dumps(document)
        for each in (config, job):
            each["metadata"]["name"] = name
        job["spec"]["template"]["spec"]["volumes"][0]["configMap"]["name"] = name
        cluster.apply(config, job)
        started.append(name)
        return name

    yield made
    for name in started:
        cluster.delete("job", name)


def pods_of(cluster: Any, job: str) -> list[Any]:
    found: list[Any] = cluster.list("pod", f"batch.kubernetes.io/job-name={job}")
    return found


def test_every_service_is_ready_and_nothing_was_restarted(cluster: Any, installed: Any) -> None:
    for pod in cluster.list("pod", "app.kubernetes.io/part-of=candor"):
        if pod["status"]["phase"] != "Running":
            continue
        for each in pod["status"]["containerStatuses"]:
            assert each["restartCount"] == 0, f"{pod['metadata']['name']}: {each}"
    for name in ("grader", "inference"):
        assert cluster.json("get", "endpointslices", f"--selector=kubernetes.io/service-name={name}")["items"]


def test_a_job_ends_with_its_verdict_and_the_ledger_keeps_what_the_pod_said(
    cluster: Any, installed: Any, start: Start
) -> None:
    name = start("ends-in-fail")
    cluster.wait(f"job/{name}", "condition=Failed", 400)
    (condition,) = [each for each in cluster.get("job", name)["status"]["conditions"] if each["type"] == "Failed"]
    assert condition["reason"] == "PodFailurePolicy"
    assert "exit code 1" in condition["message"]
    (pod,) = pods_of(cluster, name)
    ended = pod["status"]["containerStatuses"][0]["state"]["terminated"]
    assert ended["exitCode"] == 1
    verdict, evaluation = ended["message"].splitlines()[0], ended["message"].splitlines()[-1]
    assert verdict.startswith("FAIL: ")

    cluster.run("delete", "job", name, "--cascade=foreground", "--timeout=60s")
    shown = installed.candor("evaluations", "show", evaluation.removeprefix("evaluations/"))
    assert "verdict     FAIL" in shown.splitlines()
    assert shown.rstrip().endswith(verdict)


def test_a_pod_that_is_evicted_is_replaced_and_finds_its_evaluation(
    cluster: Any, installed: Any, start: Start, tools: Any, spec: Callable[..., dict[str, Any]]
) -> None:
    document = spec(installed, "slow", "slow", name="evicted", gate={"mode": "none"}, tasks=[{"name": "core"}])
    document["tasks"] = [{"name": "questions", "path": "questions.jsonl"}]
    job = start("evicted", document)

    def begun() -> Any:
        found = [each for each in installed.evaluations().values() if each["spec"].get("name") == "evicted"]
        return next((each for each in found if int(each["progress"].get("responses_done", 0)) > 0), None)

    tools.until(begun, "the evaluation runs", 180)
    (pod,) = pods_of(cluster, job)
    name = pod["metadata"]["name"]
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": name, "namespace": cluster.namespace},
    }
    path = f"/api/v1/namespaces/{cluster.namespace}/pods/{name}/eviction"
    cluster.run("create", f"--raw={path}", "--filename=-", data=json.dumps(eviction))
    cluster.wait(f"job/{job}", "condition=Complete", 500)
    status = cluster.get("job", job)["status"]
    assert (status["succeeded"], status.get("failed", 0)) == (1, 0), "an eviction does not count"
    found = [each for each in installed.evaluations().values() if each["spec"].get("name") == "evicted"]
    assert len(found) == 1, "the next pod asked under the same request id"


def test_a_document_with_a_mistake_ends_its_job_with_the_line_to_mend(
    cluster: Any, installed: Any, start: Start
) -> None:
    job = start("mistaken", {"arms": {"v1": {"endpoint": {"base_url": "http://model-v1:8000/v1"}}}, "baselin": "v1"})
    cluster.wait(f"job/{job}", "condition=Failed", 120)
    (pod,) = pods_of(cluster, job)
    ended = pod["status"]["containerStatuses"][0]["state"]["terminated"]
    assert ended["exitCode"] == 78
    assert ended["message"].startswith("BAD_DOCUMENT: ")
    assert "baselin (line 1)" in ended["message"]


def test_a_service_that_is_away_makes_its_caller_unready_and_restarts_nothing(
    cluster: Any, installed: Any, tools: Any
) -> None:
    def ready() -> set[str]:
        pods = cluster.list("pod", "app.kubernetes.io/name=orchestrator")
        conditions = [each for pod in pods for each in pod["status"]["conditions"] if each["type"] == "Ready"]
        return {each["status"] for each in conditions}

    replicas = cluster.get("deployment", "grader")["spec"]["replicas"]
    cluster.run("scale", "deployment/grader", "--replicas=0")
    try:
        tools.until(lambda: ready() == {"False"}, "the orchestrator is not ready without the grader", 120)
    finally:
        cluster.run("scale", "deployment/grader", f"--replicas={replicas}")
    installed.rollout("deployment/grader", "statefulset/orchestrator")
    tools.until(lambda: ready() == {"True"}, "the orchestrator is ready again", 120)
    for pod in cluster.list("pod", "app.kubernetes.io/name=orchestrator"):
        assert pod["status"]["containerStatuses"][0]["restartCount"] == 0, "liveness asks nothing of others"


def test_a_rolling_restart_of_the_grader_under_load_loses_no_call(
    cluster: Any, installed: Any, tools: Any, small_pod: Callable[..., Object], image: Callable[[str], str]
) -> None:
    cluster.run("scale", "deployment/grader", "--replicas=2")
    installed.rollout("deployment/grader")
    script = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "load"},
        "data": {LOAD.name: LOAD.read_text()},
    }
    volumes = [{"name": "load", "configMap": {"name": "load"}}]
    pod = small_pod("load", image("cli"), ["python", f"/load/{LOAD.name}", "dns:///grader:50051"], volumes=volumes)
    pod["spec"]["containers"][0]["volumeMounts"] = [{"name": "load", "mountPath": "/load"}]
    pod["spec"]["terminationGracePeriodSeconds"] = 30
    cluster.apply(script, pod)

    def told() -> dict[str, Any]:
        lines = cluster.run("logs", "load", "--tail=1", check=False).stdout.splitlines()
        found: dict[str, Any] = (
            json.loads(lines[-1]) if lines and lines[-1].startswith("{") else {"answered": 0, "lost": []}
        )
        return found

    def answered(more: int) -> dict[str, Any]:
        goal = told()["answered"] + more
        return dict(
            tools.until(lambda: (found := told())["answered"] >= goal and found, f"{goal} calls are answered", 180)
        )

    answered(50)
    cluster.run("rollout", "restart", "deployment/grader")
    installed.rollout("deployment/grader")
    found = answered(50)
    cluster.delete("pod", "load")
    assert found["lost"] == []
