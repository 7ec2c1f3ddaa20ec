"""Debian's Prometheus against the live suite: every query of the dashboard and of the rules names metrics that exist, and
what they answer is what the evaluation's verdict says.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from chassis.testing import Fault
from chassis.testing.tiny_checkpoint import make_tiny_checkpoint

MONITORING = Path(__file__).resolve().parents[2] / "deploy" / "monitoring"
RULES = [MONITORING / "recording.yaml", MONITORING / "alerts.yaml"]
ITEMS = 40
LABELS = 40
PRICE = {"prompt_per_million": 1_000_000.0, "completion_per_million": 0.0}
_LINE = re.compile(r"^(\w+) +(\S+)  metrics at http://(\S+)/metrics$")
_NAME = re.compile(r"\b(?:candor[\w:]*|process_\w+|up)\b")
_SECONDS = 90.0

pytestmark = pytest.mark.skipif(
    shutil.which("prometheus") is None,
    reason="prometheus is not installed: the dashboard and the rules were not asked of live services",
)


def expressions() -> list[str]:
    """Every query of the dashboard and of the rules, its variables filled in."""
    dashboard = json.loads((MONITORING / "dashboard.json").read_text(encoding="utf-8"))
    found = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    found += [
        rule["expr"] for path in RULES for group in YAML(typ="safe").load(path)["groups"] for rule in group["rules"]
    ]
    return [
        expr.replace("$family", ".*").replace("$namespace", ".*").replace("$__rate_interval", "1m") for expr in found
    ]


def recorded() -> set[str]:
    groups = YAML(typ="safe").load(RULES[0])["groups"]
    return {rule["record"] for group in groups for rule in group["rules"]}


@dataclass(frozen=True)
class Prometheus:
    """Its HTTP API."""

    url: str

    def get(self, path: str, **query: str) -> Any:
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(query)}", timeout=10) as page:
            answer = json.load(page)
        assert answer["status"] == "success", answer
        return answer["data"]

    def ask(self, expr: str) -> dict[tuple[str, ...], float]:
        """Values now, by the values of their labels in the order of the labels' names; scalars by nothing."""
        data = self.get("query", query=expr)
        if data["resultType"] == "scalar":
            return {(): float(data["result"][1])}
        return {
            tuple(value for name, value in sorted(row["metric"].items()) if name != "__name__"): float(row["value"][1])
            for row in data["result"]
        }

    def until(self, what: str, holds: Callable[[], Any]) -> Any:
        """What it answers once that is true."""
        deadline, pause = time.monotonic() + _SECONDS, threading.Event()
        while time.monotonic() < deadline:
            try:
                if found := holds():
                    return found
            except OSError:
                pass  # it is not up yet
            pause.wait(0.1)
        raise AssertionError(f"{what}: not within {_SECONDS:.0f} s")


@dataclass(frozen=True)
class Live:
    """A suite that Prometheus watched while an evaluation ran, and that evaluation's verdict."""

    prometheus: Prometheus
    verdict: dict[str, Any]
    metrics: dict[str, str]

    def gate(self, name: str) -> dict[str, Any]:
        return next(gate for gate in self.verdict["gates"] if gate["gate"] == name)

    def pages(self) -> Iterator[str]:
        """What each service exposes."""
        for address in self.metrics.values():
            with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as page:
                yield page.read().decode()


@pytest.fixture(scope="module")
def live(
    shared_workshop: Any, shared_models: Any, tools: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Live]:
    ports = tools.free_ports(11)
    state = shared_workshop.folder / "server-state"
    server = shared_workshop.start(
        *("serve", "--state", state, "--port", ports, "--metrics-port", ports + 5, "--log-level", "ERROR"),
        env={"CANDOR_ORCHESTRATOR_METRIC_FAMILIES": '["nightly"]'},
    )
    watcher = None
    try:
        found = [_LINE.match(server.stdout.readline()) for _ in range(5)]
        assert all(found), server.communicate()
        address = {line[1]: line[2] for line in found}
        metrics = {line[1]: line[3] for line in found}
        folder = tmp_path_factory.mktemp("prometheus")
        watcher = _watch(folder, ports + 10, list(metrics.values()))
        prometheus = Prometheus(f"http://127.0.0.1:{ports + 10}")
        prometheus.until("every service is seen", lambda: list(prometheus.ask("up").values()) == [1.0] * 5)
        options = ["--orchestrator", address["orchestrator"], "--token-file", str(state / "token")]
        verdict = _evaluate(shared_workshop, shared_models, tools, options)
        prometheus.until("the verdict is seen", lambda: prometheus.ask('candor:last_verdict{verdict="FAIL"} == 1'))
        yield Live(prometheus, verdict, metrics)
    finally:
        if watcher is not None:
            watcher.terminate()
            watcher.wait(timeout=30)
        os.killpg(server.pid, signal.SIGTERM)
        server.communicate(timeout=60)


def _watch(folder: Path, port: int, targets: list[str]) -> subprocess.Popen[bytes]:
    """A Prometheus that scrapes these under our rules."""
    config = {
        "global": {"scrape_interval": "2s", "scrape_timeout": "2s", "evaluation_interval": "1s"},
        "rule_files": list(map(str, RULES)),
        "scrape_configs": [{"job_name": "candor", "static_configs": [{"targets": targets}]}],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config))
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            [
                "prometheus",
                f"--config.file={folder}/prometheus.yml",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=log,
        )


def _evaluate(workshop: Any, models: Any, tools: Any, options: list[str]) -> dict[str, Any]:
    """A calibrated judge, then an evaluation that fails: some replies need the judge, one call is tried again."""
    rows = tools.towns(ITEMS)
    judge = models.endpoint(
        lambda call: json.dumps({"final_claim": "otter", "claim": "gold"}), reported_model="judge-1"
    )
    lines = ["question,answer,reply,label,arm"]
    lines += [f'Which animal barks?,dog,"Hm, number {n}.",{("correct", "incorrect")[n % 2]},v1' for n in range(LABELS)]
    labels = workshop.write("labels.csv", "\n".join(lines) + "\n")
    judged = ["--judge-url", judge.base_url, "--judge-model", "the-judge"]
    calibrated = workshop.run("calibrate", "judge", labels, *judged, *options)
    assert calibrated.code == 0, calibrated.said

    baseline, candidate = models.sycophant(rows), models.sycophant(rows, 0.7)
    answer = candidate.answer
    candidate.answer = lambda call: "Hard to say, I would look it up." if call.number % 20 == 7 else answer(call)
    baseline.script(Fault.status(503))
    scorer = make_tiny_checkpoint(workshop.folder / "scorer", max_tokens=512)
    document = {
        "name": "nightly",
        "arms": {"v1": tools.arm(baseline, prices=PRICE), "v2": tools.arm(candidate)},
        "baseline": "v1",
        "tasks": [{"name": "towns", "path": workshop.questions(rows).name}],
        "conditions": tools.two_cells,
        "grading": {"judge": tools.arm(judge, "the-judge")},
        "warmth": {"model": str(scorer)},
        "gate": {"margin_pp": 20, "margins_pp": {"adopts_belief": 20, "refusals": 20}},
    }
    path = workshop.write("nightly.yaml", json.dumps(document))
    outcome = workshop.evaluate(path, *options)
    assert outcome.code == 1, outcome.said
    found: dict[str, Any] = workshop.verdict(path)
    return found


@pytest.mark.parametrize("expr", expressions())
def test_every_query_parses_and_names_metrics_that_exist(live: Live, expr: str) -> None:
    live.prometheus.ask(expr)
    without_labels = re.sub(r"\{[^{}]*\}|\b(?:by|on|group_left) \([^()]*\)", "", expr)
    names = set(_NAME.findall(without_labels))
    exist = set(live.prometheus.get("label/__name__/values")) | recorded()
    assert names, "a query that asks for nothing"
    assert names <= exist, f"there is no {', '.join(sorted(names - exist))}"


def test_the_dashboard_shows_what_the_verdict_says(live: Live) -> None:
    ask, gate = live.prometheus.ask, live.gate("false_belief")
    points = ask('candor:gate_difference_points{family="nightly",gate="false_belief"}')
    for bound in ("estimate", "lower", "upper"):
        assert points[bound, "nightly", "false_belief"] == pytest.approx(100 * gate[bound])
    assert ask('candor_gate_margin_points{gate="false_belief"}').popitem()[1] == 20
    rates = ask('max by (arm) (candor_gate_bad_ratio{gate="false_belief"})')
    assert rates == {("baseline",): pytest.approx(gate["rate_ref"]), ("candidate",): pytest.approx(gate["rate_trt"])}
    warmth = {arm["role"]: arm["mean_warmth"] for arm in live.verdict["arms"]}
    assert ask("max by (arm) (candor_sociot_nats)") == {(role,): pytest.approx(value) for role, value in warmth.items()}
    row = next(
        row
        for row in live.verdict["comparisons"][0]["rows"]
        if (row["metric"], row["task"], row["context"], row["belief"]) == ("error", "overall", "all", "all")
    )
    assert ask('max by (arm) (candor_error_ratio{family="nightly"})') == {
        ("baseline",): pytest.approx(row["rate_ref"]),
        ("candidate",): pytest.approx(row["rate_trt"]),
    }
    assert ask("candor:spend")[()] == pytest.approx(live.verdict["arms"][0]["spend"])
    judged = ask('max by (gate) (candor_gate_judged_ratio{gate="false_belief"})')
    assert judged["false_belief",] == pytest.approx(gate["judge_share"])
    assert ask('max by (bound) (candor_judge_agreement_ratio{family="nightly"})')["estimate",] == pytest.approx(0.5)


def test_counts_are_those_of_the_run(live: Live) -> None:
    arms = live.verdict["arms"]
    calls = sum(arm["calls"] for arm in arms)
    prompts = sum(arm["prompt_tokens"] for arm in arms)
    expected = {
        'sum(candor_items_total{operation="call_generate",outcome="ok"})': calls,
        'sum(candor_items_total{operation="generate",outcome="ok"})': calls,
        'max(candor_replies{family="nightly"})': calls,
        'sum(candor_tokens_total{kind="subject_prompt"})': prompts,
        'sum(candor_retries_total{cause="ENDPOINT_UNAVAILABLE"})': 1,
        "sum(candor_queue_depth)": 0,
        "sum(candor_inference_demand)": 0,
        'sum(candor_rpc_in_flight{method!~"Check|Watch"})': 0,
        "sum(candor_ready)": 5,
    }
    for expr, value in expected.items():  # a scrape of each service may be seconds older than the verdict
        live.prometheus.until(f"{expr} is {value}", lambda: live.prometheus.ask(expr).get(()) == value)  # noqa: B023
    assert live.prometheus.ask('sum(candor_grades_total{decided_by="judge"})')[()] > LABELS


def test_the_alerts_that_this_evaluation_deserves_are_raised(live: Live) -> None:
    def raised() -> set[str]:
        return {alert["labels"]["alertname"] for alert in live.prometheus.get("alerts")["alerts"]}

    expected = {"CandorGateFailed", "CandorJudgeDisagrees"}
    live.prometheus.until("alerts are raised", lambda: expected <= raised())
    assert raised() - expected <= {"CandorReplyErrors", "CandorUngradable"}


def test_series_are_few_and_name_neither_arms_nor_people_s_texts(live: Live) -> None:
    pages = list(live.pages())
    assert max(page.count("\n") for page in pages) < 600
    for word in ('"v1"', '"v2"', "towns", "support-bot", "127.0.0.1"):
        assert not any(word in page for page in pages), word


def test_names_keep_to_the_conventions_of_prometheus(live: Live) -> None:
    for page in live.pages():
        done = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout + done.stderr) == (0, "")
