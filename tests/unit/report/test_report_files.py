import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pyarrow.parquet as pq

from services.orchestrator.backends.report import html
from services.orchestrator.backends.report.files import FileReporter
from services.orchestrator.backends.report.html import render_html
from services.orchestrator.backends.report.junit import render_junit
from services.orchestrator.domain.record import Record
from services.orchestrator.domain.report import Report
from services.orchestrator.domain.verdict_json import verdict_json


class Page(HTMLParser):
    """What a browser would see: tags, and the text outside scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.scripts: list[str] = []
        self._raw = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._raw = tag if tag in ("script", "style") else ""

    def handle_endtag(self, tag: str) -> None:
        self._raw = ""

    def handle_data(self, data: str) -> None:
        if self._raw == "script":
            self.scripts.append(data)
        elif not self._raw:
            self.text.append(data)


def test_hostile_text_stays_text(report: Report) -> None:
    page = Page(render_html(report))
    assert sum(tag == "script" for tag, _ in page.tags) == 2
    assert not [tag for tag, _ in page.tags if tag == "img"]
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    island = json.loads(page.scripts[0])
    assert "</script><script>alert(1)</script>" in island["flips"][0]["prompt"]


def test_page_loads_nothing_and_its_policy_forbids_it(report: Report) -> None:
    text = render_html(report)
    page = Page(text)
    policy = next(a["content"] for tag, a in page.tags if tag == "meta" and a.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    for _, attributes in page.tags:
        for name in ("src", "href"):
            value = attributes.get(name)
            assert value is None or value.startswith("data:")
    assert "style=" not in re.sub(r"<style>.*?</style>", "", text, flags=re.DOTALL)


def test_page_says_the_verdict_its_reason_and_every_gate(report: Report) -> None:
    text = " ".join(Page(render_html(report)).text)
    assert report.verdict in text
    assert report.reason in text
    for gate in report.gates:
        assert gate.gate in text
    assert report.caveats[0] in text


def test_flips_are_capped_and_the_page_says_so(report: Report, monkeypatch: object) -> None:
    many = replace(report, flip_counts={("v2", "worse"): 5_000})
    text = " ".join(Page(render_html(many)).text)
    assert f"{len(report.flips)} of 5,000 are on this page" in text
    assert "responses.parquet" in text
    shown, count = html._flips(report.flips * 200)
    assert count == len(shown) < len(report.flips) * 200


def test_page_renders_without_gates_comparisons_or_replies(change: Callable[..., Report]) -> None:
    bare = change(
        verdict="INVALID",
        gates=(),
        comparisons=(),
        flips=(),
        flip_counts={},
        arms=(),
        tasks=(),
        candidates=(),
        warmth="",
    )
    text = " ".join(Page(render_html(bare)).text)
    assert "INVALID" in text
    assert "Warmth was not asked for" in text


def test_junit_fails_exactly_the_failed_critical_gates(report: Report) -> None:
    suite = ET.fromstring(render_junit(report)).find("testsuite")
    assert suite is not None
    failed = {case.get("name") for case in suite.findall("testcase") if case.find("failure") is not None}
    assert failed == {gate.gate for gate in report.gates if gate.decision == "FAIL" and gate.critical} != set()
    assert suite.get("failures") == str(len(failed))
    assert "\x00" not in str(suite.get("name"))


def test_junit_never_fails_for_an_advisory_gate(change: Callable[..., Report], report: Report) -> None:
    advisory = change(gates=tuple(replace(gate, critical=False) for gate in report.gates))
    suite = ET.fromstring(render_junit(advisory)).find("testsuite")
    assert suite is not None
    assert suite.get("failures") == "0"


def test_junit_of_a_broken_invariant_is_an_error(change: Callable[..., Report]) -> None:
    suite = ET.fromstring(render_junit(change(verdict="INVALID", reason="the judge changed", gates=()))).find(
        "testsuite"
    )
    assert suite is not None
    assert suite.get("errors") == "1"
    error = suite.find("testcase/error")
    assert error is not None
    assert error.get("message") == "the judge changed"


def test_verdict_json_is_strict_json_and_keeps_the_true_counts(report: Report, change: Callable[..., Report]) -> None:
    value = json.loads(verdict_json(report), parse_constant=lambda name: (_ for _ in ()).throw(ValueError(name)))
    assert value["schema"] == 1
    assert value["verdict"] == report.verdict
    assert {(c["candidate"], c["direction"]): c["count"] for c in value["flip_counts"]} == dict(report.flip_counts)
    assert len(value["flips"]) <= 100
    odd = json.loads(verdict_json(change(stage_seconds={"x": float("nan")})))
    assert odd["stage_seconds"]["x"] is None


def test_parquet_tables_hold_every_row(report: Report, records: list[Record]) -> None:
    files = FileReporter().files(report, records)
    tables = {}
    for name, body in files.items():
        if name.endswith(".parquet"):
            buffer = io.BytesIO()
            assert callable(body)
            body(buffer)
            tables[name] = pq.read_table(io.BytesIO(buffer.getvalue()))
    replies = tables["results/responses.parquet"].to_pylist()
    assert len(replies) == len(records)
    assert replies[0]["prompt"] == "Q?"
    assert [row["adopts_belief"] for row in replies[:2]] == [False, None]
    assert replies[0]["aliases"] == ["A, too"]
    assert tables["results/gates.parquet"].num_rows == len(report.gates)
    assert tables["results/comparisons.parquet"].num_rows > 50
