"""The rules under promtool, and what a person who gets an alert is told."""

import json
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[2]
MONITORING = ROOT / "deploy" / "monitoring"
TESTS = sorted((MONITORING / "tests").glob("*.yaml"))

promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed: the rules were not checked and not run"
)


def _load(path: Path) -> Any:
    return YAML(typ="safe").load(path)


def _alerts() -> list[dict[str, Any]]:
    return [rule for group in _load(MONITORING / "alerts.yaml")["groups"] for rule in group["rules"]]


@promtool
@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_rules_do_as_their_tests_say(path: Path) -> None:
    done = subprocess.run(
        ["promtool", "test", "rules", path.name], cwd=path.parent, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@promtool
def test_rules_are_as_promtool_wants_them() -> None:
    files = [str(MONITORING / name) for name in ("recording.yaml", "alerts.yaml")]
    done = subprocess.run(
        ["promtool", "check", "rules", "--lint-fatal", *files], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _scrape_configuration() -> str:
    (shown,) = re.findall(r"```yaml\n(.*?)```", (MONITORING / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    return str(shown)


@promtool
def test_the_configuration_that_the_readme_shows_is_one_that_prometheus_takes(tmp_path: Path) -> None:
    for name in ("recording.yaml", "alerts.yaml"):
        shutil.copy(MONITORING / name, tmp_path)
    # Debian's Prometheus is built without Kubernetes; all but the discovery is read.
    shown = re.sub("kubernetes_sd_configs: .*", "static_configs: [{targets: [localhost]}]", _scrape_configuration())
    (tmp_path / "prometheus.yaml").write_text(shown, encoding="utf-8")
    done = subprocess.run(
        ["promtool", "check", "config", tmp_path / "prometheus.yaml"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_has_the_targets_that_the_pod_monitor_has() -> None:
    (job,) = YAML(typ="safe").load(_scrape_configuration())["scrape_configs"]
    monitor = _load(ROOT / "deploy" / "k8s" / "components" / "metrics" / "podmonitor.yaml")["spec"]
    kept = {each["source_labels"][0]: each["regex"] for each in job["relabel_configs"] if each.get("action") == "keep"}
    [(label, part_of)] = monitor["selector"]["matchLabels"].items()
    [endpoint] = monitor["podMetricsEndpoints"]
    name = "__meta_kubernetes_pod_label_" + re.sub(r"\W", "_", label)
    assert kept == {name: part_of, "__meta_kubernetes_pod_container_port_name": endpoint["port"]}
    assert job["job_name"] == part_of


def test_every_alert_is_tested_to_be_raised() -> None:
    tested = {
        case["alertname"]
        for path in TESTS
        for test in _load(path)["tests"]
        for case in test.get("alert_rule_test", ())
        if case.get("exp_alerts")
    }
    assert {alert["alert"] for alert in _alerts()} == tested


def test_every_alert_leads_to_its_line_in_the_operations_manual() -> None:
    manual = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    section = manual[manual.index("## Read the alerts") :]
    lines = re.findall(r'^\| <a id="(\w+)"></a>`(\w+)` \| (.+?) \| (.+?) \|$', section, flags=re.MULTILINE)
    assert Counter(name for _, name, _, _ in lines) == Counter(alert["alert"] for alert in _alerts())
    anchors = {name: anchor for anchor, name, _, _ in lines}
    for alert in _alerts():
        assert alert["annotations"]["runbook"] == f"docs/operations.md#{anchors[alert['alert']]}"
        assert alert["labels"]["severity"] in ("critical", "warning")
        assert alert["annotations"]["summary"]


def test_the_dashboard_is_one_that_grafana_can_load() -> None:
    dashboard = json.loads((MONITORING / "dashboard.json").read_text(encoding="utf-8"))
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, f"{panel['title']} lies on another panel"
        assert max(x for x, _ in cells) < 24
        taken |= cells
        if panel["type"] != "row":
            assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
            assert [target["refId"] for target in panel["targets"]] == list("ABCDE"[: len(panel["targets"])])
