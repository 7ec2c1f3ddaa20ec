"""The main job: from a document and two endpoints to a verdict, an exit code and files."""

import json
import re
import xml.etree.ElementTree as ET
from collections import Counter
from html.parser import HTMLParser
from typing import Any

import pyarrow.parquet as pq
import pytest

ITEMS = 40
CELLS = 10


@pytest.fixture(scope="module")
def rows(tools: Any) -> Any:
    return tools.towns(ITEMS)


@pytest.fixture(scope="module")
def failed(shared_workshop: Any, shared_models: Any, rows: Any) -> Any:
    """A candidate that gives in to false beliefs, run as a person runs it."""
    arms = {"v1": shared_models.sycophant(rows), "v2": shared_models.sycophant(rows, 0.6)}
    document = shared_workshop.document(arms, rows, name="worse.yaml")
    return document, arms, shared_workshop.child("evaluate", document)


@pytest.fixture(scope="module")
def passed(shared_workshop: Any, shared_models: Any, rows: Any) -> Any:
    """A candidate that is the same, asked for JSON."""
    arms = {"v1": shared_models.sycophant(rows), "v2": shared_models.sycophant(rows)}
    document = shared_workshop.document(arms, rows, name="equal.yaml")
    return document, arms, shared_workshop.evaluate(document, "--json")


def test_a_candidate_that_gives_in_fails(failed: Any, shared_workshop: Any) -> None:
    document, _, outcome = failed
    assert outcome.code == 1, outcome.said
    verdict = shared_workshop.verdict(document)
    assert verdict["verdict"] == "FAIL"
    decisions = {gate["gate"]: gate["decision"] for gate in verdict["gates"]}
    assert decisions["false_belief"] == "FAIL"
    assert decisions["adopts_belief"] == "FAIL"
    assert decisions["refusals"] != "FAIL"
    gate = next(gate for gate in verdict["gates"] if gate["gate"] == "false_belief")
    assert gate["rate_trt"] - gate["rate_ref"] == pytest.approx(0.6, abs=0.15)


def test_a_person_reads_the_verdict_first_and_the_worst_replies_last(failed: Any, shared_workshop: Any) -> None:
    document, _, outcome = failed
    first, report = outcome.out.splitlines()[0], outcome.out.splitlines()[-1]
    assert "FAIL" in first
    assert report == f"Report: {shared_workshop.results(document) / 'report.html'}"
    assert re.search(r"false_belief.*worse", outcome.out)
    assert outcome.out.count("asked: ") == 5
    assert "I think the answer is" in outcome.out
    assert "\x1b" not in outcome.said


def test_progress_goes_to_standard_error_and_is_no_noise(failed: Any) -> None:
    _, _, outcome = failed
    assert "generating" in outcome.err
    assert "Traceback" not in outcome.said
    assert "Warning" not in outcome.said
    assert len(outcome.err.splitlines()) < 40


def test_it_stops_asking_once_it_is_decided(failed: Any, shared_workshop: Any) -> None:
    document, arms, _ = failed
    calls = {name: len(endpoint.calls) for name, endpoint in arms.items()}
    assert max(calls.values()) < ITEMS * CELLS, "a difference of 60 points needs no last look"
    reported = {arm["name"]: arm["calls"] for arm in shared_workshop.verdict(document)["arms"]}
    probes = 1
    assert {name: count + probes for name, count in reported.items()} == calls


def test_both_models_get_the_same_prompts(failed: Any) -> None:
    _, arms, _ = failed
    prompts = [{call.digest for call in endpoint.calls} for endpoint in arms.values()]
    assert prompts[0] == prompts[1]


def test_no_prompt_says_who_is_asked(failed: Any) -> None:
    _, arms, _ = failed
    texts = " ".join(text for endpoint in arms.values() for call in endpoint.calls for _, text in call.messages)
    assert not re.search(r"\bv[12]\b|baseline|candidate|candor", texts, re.IGNORECASE)


def test_an_equal_candidate_passes(passed: Any) -> None:
    _, _, outcome = passed
    assert outcome.code == 0, outcome.said
    assert outcome.json()["verdict"] == "PASS"
    assert {gate["decision"] for gate in outcome.json()["gates"]} == {"PASS"}


def test_json_is_the_file_and_nothing_else(passed: Any, shared_workshop: Any) -> None:
    document, _, outcome = passed
    assert outcome.json() == shared_workshop.verdict(document)
    assert outcome.err == ""


def test_every_file_is_there_and_agrees(failed: Any, shared_workshop: Any) -> None:
    document, _, _ = failed
    folder = shared_workshop.results(document)
    verdict = shared_workshop.verdict(document)
    found = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert found == [
        "junit.xml",
        "report.html",
        "results/comparisons.parquet",
        "results/gates.parquet",
        "results/responses.parquet",
        "verdict.json",
    ]
    responses = pq.read_table(folder / "results/responses.parquet").to_pylist()
    assert len(responses) == sum(arm["calls"] for arm in verdict["arms"])
    assert len(pq.read_table(folder / "results/gates.parquet")) == len(verdict["gates"])
    suite = ET.parse(folder / "junit.xml").getroot()
    failures = [case.get("name") for case in suite.iter("testcase") if case.find("failure") is not None]
    assert len(failures) == sum(gate["decision"] == "FAIL" for gate in verdict["gates"])


def test_the_report_needs_no_network(failed: Any, shared_workshop: Any) -> None:
    document, _, _ = failed
    text = (shared_workshop.results(document) / "report.html").read_text(encoding="utf-8")
    loaded = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: Any) -> None:
            loaded.extend(value for name, value in attrs if name in ("src", "href") and value)
            assert tag not in ("iframe", "object", "embed", "base")

    Reader().feed(text)
    assert [url for url in loaded if not url.startswith(("#", "data:", "results/", "verdict.json"))] == []
    assert "Content-Security-Policy" in text


def test_every_shown_rate_can_be_counted_in_the_replies(failed: Any, shared_workshop: Any) -> None:
    document, _, _ = failed
    verdict = shared_workshop.verdict(document)
    gate = next(gate for gate in verdict["gates"] if gate["gate"] == "false_belief")
    replies = pq.read_table(shared_workshop.results(document) / "results/responses.parquet").to_pylist()
    wrong: Counter[str] = Counter()
    asked: Counter[str] = Counter()
    for row in replies:
        if row["belief"] in ("asserts_false", "denies_true"):
            asked[row["arm"]] += 1
            wrong[row["arm"]] += row["verdict"] == "incorrect"
    assert asked["v1"] == asked["v2"] == gate["n_pairs"]
    assert wrong["v2"] / asked["v2"] == pytest.approx(gate["rate_trt"])
    assert wrong["v1"] / asked["v1"] == pytest.approx(gate["rate_ref"])


def test_what_was_run_can_be_read_in_the_verdict(failed: Any, shared_workshop: Any) -> None:
    document, _, _ = failed
    verdict = shared_workshop.verdict(document)
    assert verdict["schema"] == 1
    assert verdict["baseline"] == "v1"
    assert verdict["candidates"] == ["v2"]
    assert verdict["tasks"][0]["name"] == "towns"
    assert verdict["tasks"][0]["digest"].startswith("sha256:")
    assert verdict["arms"][0]["sampling"] == {"temperature": "0.8", "max_tokens": "300", "seed": "1"}
    assert {"candor", "grader", "prompts"} <= set(verdict["versions"])
    assert verdict["finished"] > verdict["created"] > 0


def test_too_few_items_stop_before_anything_is_spent(workshop: Any, models: Any, tools: Any) -> None:
    rows = tools.towns(8)
    arms = {"v1": models.sycophant(rows), "v2": models.sycophant(rows)}
    document = workshop.document(
        arms, rows, gate={"margin_pp": 0.5, "margins_pp": dict.fromkeys(tools.margins["margins_pp"], 0.5)}
    )
    outcome = workshop.evaluate(document)
    assert outcome.code == 78
    assert "cannot conclude" in outcome.err
    assert "--underpowered" in outcome.err
    assert "margin" in outcome.err
    assert [len(endpoint.calls) for endpoint in arms.values()] == [0, 0]
    assert not workshop.results(document).exists()

    allowed = workshop.evaluate(document, "--underpowered")
    assert allowed.code == 2, allowed.said
    verdict = workshop.verdict(document)
    assert verdict["verdict"] == "INCONCLUSIVE"
    assert "more items" in verdict["reason"]


def test_a_research_document_compares_and_decides_nothing(workshop: Any, models: Any, tools: Any) -> None:
    rows = tools.towns(6)
    document = workshop.document(
        {"v1": models.sycophant(rows), "v2": models.sycophant(rows, 0.9)},
        rows,
        gate="none",
        conditions={"contexts": ["none"], "beliefs": ["none", "asserts_false"]},
    )
    outcome = workshop.evaluate(document)
    assert outcome.code == 0, outcome.said
    verdict = workshop.verdict(document)
    assert verdict["verdict"] == "NONE"
    assert verdict["gates"] == []
    assert verdict["comparisons"][0]["treated"] == "v2"
    assert "no gate" in outcome.out


def test_a_quick_look_says_that_it_is_one(workshop: Any, models: Any, tools: Any) -> None:
    rows = [{**row, "category": ("north", "south")[number % 2]} for number, row in enumerate(tools.towns(40))]
    arms = {"v1": models.sycophant(rows), "v2": models.sycophant(rows)}
    document = workshop.document(
        arms, rows, conditions={"contexts": ["none"], "beliefs": ["none", "asserts_false"]}, gate={"margin_pp": 2}
    )
    outcome = workshop.evaluate(document, "--limit", "6")
    assert outcome.code == 2, outcome.said
    assert "6 of 40 items" in outcome.out
    assert re.search(r"cannot|no longer", outcome.out), "it says what it cannot conclude"
    replies = pq.read_table(workshop.results(document) / "results/responses.parquet").to_pylist()
    assert Counter(row["category"] for row in replies if row["arm"] == "v1") == {"north": 6, "south": 6}
    assert len({row["item"] for row in replies}) == 6


def test_several_candidates_and_a_contrast(workshop: Any, models: Any, tools: Any) -> None:
    rows = tools.towns(30)
    document = workshop.document(
        {
            "v1": models.sycophant(rows),
            "same": models.sycophant(rows),
            "worse": models.sycophant(rows, 0.7),
            "other": models.sycophant(rows, 0.7),
        },
        rows,
        conditions={"contexts": ["none", "emotion:sad"], "beliefs": ["none", "asserts_false"]},
        gate={
            "candidates": ["same", "worse"],
            "margin_pp": 20,
            "margins_pp": {"adopts_belief": 20, "context": 20, "refusals": 20},
        },
        contrasts=[{"name": "between the bad ones", "treated": "worse", "reference": "other"}],
    )
    outcome = workshop.evaluate(document)
    assert outcome.code == 1, outcome.said
    verdict = workshop.verdict(document)
    decisions = {(gate["candidate"], gate["gate"]): gate["decision"] for gate in verdict["gates"]}
    assert decisions["same", "false_belief"] == "PASS"
    assert decisions["worse", "false_belief"] == "FAIL"
    assert not [gate for candidate, gate in decisions if candidate == "other"], "an arm beside the gate decides nothing"
    assert [c["name"] for c in verdict["comparisons"]] == ["between the bad ones", "same", "worse"]
    assert [arm["name"] for arm in verdict["arms"]] == ["v1", "same", "worse", "other"]
    assert "worse" in verdict["reason"]
    assert "(same)" not in verdict["reason"]
    dropped = {name for name, _ in verdict["dropped_gates"]}
    assert dropped == {"user_right"}
    assert "user_right" in outcome.out


def test_an_explicit_gate_without_its_cells_is_an_error(workshop: Any, models: Any, tools: Any) -> None:
    rows = tools.towns(6)
    document = workshop.document(
        {"v1": models.sycophant(rows), "v2": models.sycophant(rows)},
        rows,
        conditions={"contexts": ["none"], "beliefs": ["none", "asserts_false"]},
        gate={"margin_pp": 20, "margins_pp": {"user_right": 3}},
    )
    outcome = workshop.evaluate(document)
    assert outcome.code == 78
    assert "user_right" in outcome.err
    assert "asserts_true" in outcome.err
    assert not workshop.results(document).exists()


def test_the_built_in_questions_without_a_word_about_tasks(workshop: Any, models: Any, tools: Any) -> None:
    core = tools.repository / "services/orchestrator/data/tasks/core"
    table = [json.loads(line) for path in sorted(core.glob("*.jsonl")) for line in path.read_text("utf-8").splitlines()]
    document = workshop.document({"v1": models.sycophant(table), "v2": models.sycophant(table)})
    outcome = workshop.evaluate(document, "--limit", "16")
    assert outcome.code in (0, 2), outcome.said
    verdict = workshop.verdict(document)
    assert verdict["tasks"][0]["name"] == "core"
    assert verdict["tasks"][0]["items"] == 800
    assert verdict["tasks"][0]["asked"] == 16
    ungraded = [gate["ungradable_trt"] for gate in verdict["gates"]]
    assert max(ungraded) < 0.1, "`The answer is X.` is decided without a judge"
