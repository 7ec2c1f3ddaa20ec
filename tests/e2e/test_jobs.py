"""The command as a Kubernetes Job runs it: pods that die and are replaced, and exit codes that the Job's policy understands."""

import json
import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from chassis.testing import Fault

ITEMS = 16
JOBS = Path(__file__).resolve().parents[2] / "deploy/k8s/jobs"
POD = {"KUBERNETES_SERVICE_HOST": "10.96.0.1"}
KILLED = 128 + signal.SIGKILL
Actions = Callable[[int], str]


def rules_of(job: Mapping[str, Any]) -> list[dict[str, Any]]:
    rules: list[dict[str, Any]] = job["spec"]["podFailurePolicy"]["rules"]
    return rules


@pytest.fixture(scope="module")
def action() -> Actions:
    """What the Job does about an exit code; the first rule that fits decides, as in the Job controller."""
    job = YAML(typ="safe").load(JOBS / "evaluate/job.yaml")

    def decide(code: int) -> str:
        for rule in rules_of(job):
            if code in rule.get("onExitCodes", {}).get("values", []):
                return str(rule["action"])
        return "Count" if code else "Complete"

    return decide


@pytest.fixture
def rows(tools: Any) -> Any:
    return tools.towns(ITEMS)


@pytest.fixture
def pod(server: Any, workshop: Any, tmp_path: Path) -> Any:
    """Starts pods of one Job: the command, its request id and its termination message."""
    message = tmp_path / "termination-log"

    def start(document: Path, *arguments: str, uid: str = "7f2c", orchestrator: tuple[str, ...] = ()) -> Any:
        message.write_text("")
        env = {"CANDOR_REQUEST_ID": uid, "CANDOR_MESSAGE_FILE": str(message), **POD}
        return workshop.start(
            "evaluate", document, "--no-report", *(orchestrator or server.options), *arguments, env=env
        )

    start.message = message  # type: ignore[attr-defined]
    return start


def slowly(models: Any, rows: Any, seconds: float = 0.05) -> dict[str, Any]:
    return {name: models.sycophant(rows, fault=lambda call: Fault.delay(seconds)) for name in ("v1", "v2")}


def test_the_pod_after_a_killed_one_finds_its_evaluation_and_pays_nothing_twice(
    pod: Any, server: Any, workshop: Any, models: Any, tools: Any, rows: Any, action: Actions
) -> None:
    arms = slowly(models, rows)
    document = workshop.document(arms, rows, conditions=tools.two_cells, gate="none")
    process = pod(document)
    arms["v1"].wait_for_calls(5, seconds=90)
    os.killpg(process.pid, signal.SIGKILL)
    tools.finish(process)
    assert action(KILLED) == "Count"
    assert tools.finish(pod(document)).code == 0
    third = tools.finish(pod(document))
    assert third.code == 0, "a pod that died after the verdict finds it"
    evaluations = workshop.run("evaluations", "list", "--json", *server.options).out.splitlines()
    assert len(evaluations) == 1
    for endpoint in arms.values():
        assert max(tools.asked(endpoint.calls).values()) == 1
    assert not workshop.results(document).exists(), "results are in the ledger"


def test_a_pod_that_is_told_to_go_leaves_its_evaluation_running(
    pod: Any, server: Any, workshop: Any, models: Any, tools: Any, rows: Any, action: Actions
) -> None:
    arms = slowly(models, rows)
    document = workshop.document(arms, rows, conditions=tools.two_cells, gate="none")
    process = pod(document, "--new")
    arms["v1"].wait_for_calls(5, seconds=90)
    process.terminate()
    stopped = tools.finish(process)
    assert (stopped.code, action(stopped.code)) == (75, "Count"), stopped.said
    assert "goes on at the orchestrator" in pod.message.read_text()
    listed = json.loads(workshop.run("evaluations", "list", "--json", *server.options).out)
    assert listed["state"] in ("RUNNING", "SUCCEEDED")

    assert tools.finish(pod(document, "--new")).code == 0
    shown = workshop.run("evaluations", "show", *server.options)
    assert listed["name"].removeprefix("evaluations/") in shown.out, "--new and a known request id: the same evaluation"
    for endpoint in arms.values():
        assert max(tools.asked(endpoint.calls).values()) == 1


def test_a_job_beside_another_of_the_same_document_has_its_verdict_too(
    pod: Any, server: Any, workshop: Any, models: Any, tools: Any, rows: Any
) -> None:
    """The second finds the first's evaluation under way; a pod of it that comes after the end pays nothing again."""
    arms = {name: models.sycophant(rows, fault=lambda call: Fault.hang()) for name in ("v1", "v2")}
    document = workshop.document(arms, rows, conditions=tools.two_cells, gate="none")
    first, second = pod(document, uid="first"), pod(document, uid="second")
    names = {process.stderr.readline() for process in (first, second)}
    assert len(names) == 1, "both watch one evaluation"
    assert names.pop().startswith("evaluation ")
    for endpoint in arms.values():
        endpoint.fault = lambda call: None
        endpoint.release()
    assert tools.finish(first).code == 0
    assert tools.finish(second).code == 0
    assert tools.finish(pod(document, uid="second")).code == 0
    nightly = pod(document, "--new", uid="third")
    assert tools.finish(nightly).code == 0
    assert len(workshop.run("evaluations", "list", "--json", *server.options).out.splitlines()) == 2


@pytest.fixture
def verdicts(workshop: Any, models: Any, tools: Any, rows: Any) -> Callable[[str], Path]:
    """Documents that end in each verdict."""

    def made(verdict: str) -> Path:
        wide = {"margin_pp": 60, "margins_pp": {"adopts_belief": 60, "refusals": 60}}
        narrow = {"margin_pp": 20, "margins_pp": {"adopts_belief": 20, "refusals": 20}}
        broken = lambda call: Fault.cut_json() if "Barawick" in call.text else None  # noqa: E731
        second: dict[str, dict[str, Any]] = {
            "FAIL": {"sycophancy": 0.8},
            "INVALID": {"fault": broken},
        }
        arms = {"v1": models.sycophant(rows), "v2": models.sycophant(rows, **second.get(verdict, {}))}
        gate = narrow if verdict == "FAIL" else wide
        if verdict == "INCONCLUSIVE":
            gate = {"margin_pp": 0.5, "margins_pp": {"adopts_belief": 0.5, "refusals": 0.5}}
        found: Path = workshop.document(arms, rows, conditions=tools.two_cells, gate=gate)
        return found

    return made


@pytest.mark.parametrize(
    ("verdict", "code", "wanted"),
    [("PASS", 0, "Complete"), ("FAIL", 1, "FailJob"), ("INCONCLUSIVE", 2, "FailJob"), ("INVALID", 3, "FailJob")],
)
def test_a_verdict_ends_the_job_and_outlives_its_pod(  # noqa: PLR0917
    pod: Any,
    server: Any,
    workshop: Any,
    tools: Any,
    verdicts: Any,
    action: Actions,
    verdict: str,
    code: int,
    wanted: str,
) -> None:
    outcome = tools.finish(pod(verdicts(verdict), "--underpowered"))
    assert (outcome.code, action(code)) == (code, wanted), outcome.said
    message = pod.message.read_text().splitlines()
    assert message[0].startswith(f"{verdict}: ")
    evaluation = message[-1].removeprefix("evaluations/")

    shown = workshop.run("evaluations", "show", evaluation, "--events", "3", *server.options)
    assert shown.code == 0, shown.said
    lines = shown.out.splitlines()
    assert f"verdict     {verdict}" in lines
    reason = message[0].removeprefix(f"{verdict}: ")
    assert f"reason      {reason}" in lines
    assert lines[-1].endswith(f"{verdict}: {reason}"), "the log's tail"
    assert lines[-2].split("  ")[1].strip() == "RUNNING"


def test_what_another_pod_could_not_mend_ends_the_job(
    pod: Any, server: Any, workshop: Any, models: Any, tools: Any, rows: Any, action: Actions
) -> None:
    endpoint = models.sycophant(rows)
    good = workshop.document({"v1": endpoint, "v2": endpoint}, rows, conditions=tools.two_cells, gate="none")
    bad = workshop.write("bad.yaml", "arms: {v1: {endpoint: {base_url: 17}}}\nbaselin: v1\n")
    wrong = str(workshop.write("wrong", "not-the-token"))
    address = server.addresses["orchestrator"]
    for document, arguments, options, code, said in (
        (bad, (), (), 78, "BAD_DOCUMENT"),
        (good, (), ("--orchestrator", address, "--token-file", wrong), 64, "CALLER_UNAUTHENTICATED"),
        (good, ("--resume", "20200101-000000-deadbeef"), (), 64, "EVALUATION_NOT_FOUND"),
    ):
        outcome = tools.finish(pod(document, *arguments, orchestrator=options))
        assert (outcome.code, action(outcome.code)) == (code, "FailJob"), outcome.said
        assert pod.message.read_text().startswith(said)
    unknown = tools.finish(pod(good, "--no-such-option"))
    assert (unknown.code, action(unknown.code)) == (64, "FailJob"), unknown.said
    assert not endpoint.calls


def test_an_orchestrator_out_of_reach_counts_against_the_limit(
    pod: Any, workshop: Any, models: Any, tools: Any, rows: Any, action: Actions
) -> None:
    endpoint = models.sycophant(rows)
    document = workshop.document({"v1": endpoint, "v2": endpoint}, rows, gate="none")
    nobody = f"127.0.0.1:{tools.free_ports(1)}"
    outcome = tools.finish(pod(document, orchestrator=("--orchestrator", nobody)))
    assert (outcome.code, action(outcome.code)) == (75, "Count"), outcome.said
    assert pod.message.read_text().startswith("SERVICE_UNAVAILABLE")
    assert action(70) == "Count", "a defect"


def test_a_cancelled_evaluation_and_ctrl_c_end_the_job(
    pod: Any, server: Any, workshop: Any, models: Any, tools: Any, rows: Any, action: Actions
) -> None:
    arms = slowly(models, rows, 0.2)
    document = workshop.document(arms, rows, gate="none")
    process = pod(document)
    arms["v1"].wait_for_calls(3, seconds=90)
    listed = json.loads(workshop.run("evaluations", "list", "--json", *server.options).out)
    assert workshop.run("evaluations", "cancel", listed["name"], *server.options).code == 0
    outcome = tools.finish(process)
    assert (outcome.code, action(outcome.code)) == (130, "FailJob"), outcome.said
    assert "was cancelled" in pod.message.read_text()
    process = pod(document, uid="another")
    arms["v1"].wait_for_calls(len(arms["v1"].calls) + 3, seconds=90)
    process.send_signal(signal.SIGINT)
    outcome = tools.finish(process)
    assert (outcome.code, action(outcome.code)) == (130, "FailJob"), outcome.said


def test_everything_in_one_pod_is_refused_on_a_folder_that_goes_with_it(
    workshop: Any, models: Any, tools: Any, rows: Any, action: Actions
) -> None:
    endpoint = models.sycophant(rows)
    document = workshop.document({"v1": endpoint, "v2": endpoint}, rows, gate="none")
    message = workshop.write("termination-log", "")
    env = {**POD, "CANDOR_STATE": "/dev/shm/candor-state", "CANDOR_MESSAGE_FILE": str(message)}
    outcome = workshop.child("evaluate", document, env=env)
    assert (outcome.code, action(outcome.code)) == (78, "FailJob"), outcome.said
    said = message.read_text()
    assert said.startswith("STATE_NOT_DURABLE: /dev/shm/candor-state lies on memory")
    assert "PersistentVolumeClaim" in said
    assert not Path("/dev/shm/candor-state").exists()
    assert not endpoint.calls
