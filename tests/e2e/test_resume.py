"""Whatever dies, the same command goes on, pays nothing twice, and comes to the same verdict."""

import itertools
import json
import os
import random
import signal
import time
from typing import Any

import pyarrow.parquet as pq
import pytest

from chassis.testing import Fault

ITEMS = 24
SEED = 7
# What differs between two runs of one document and says nothing about the models.
OF_THE_RUN = ("evaluation", "created", "finished", "stage_seconds", "document")


def slow(call: Any) -> Fault:
    """A model that takes a moment, so that there is something to kill."""
    return Fault.delay(0.02)


# One call at a time: some have their answer for seconds when the process is killed.
UNHURRIED = {"CANDOR_INFERENCE_INITIAL_CONCURRENCY": "1", "CANDOR_INFERENCE_MAX_CONCURRENCY": "1"}


def comparable(verdict: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in verdict.items() if name not in OF_THE_RUN}
    # Where the model is served is part of its identity and of the document; ports differ between runs.
    places = ("subject", "digest", "components")
    kept["arms"] = [{name: value for name, value in arm.items() if name not in places} for arm in verdict["arms"]]
    kept.pop("document_digest")
    return kept


@pytest.fixture(scope="module")
def rows(tools: Any) -> Any:
    return tools.towns(ITEMS)


def document_of(workshop: Any, models: Any, rows: Any, name: str = "evaluation.yaml", **more: Any) -> Any:
    arms = {"v1": models.sycophant(rows, fault=slow), "v2": models.sycophant(rows, 0.3, fault=slow)}
    return workshop.document(arms, rows, name=name, **more), arms


@pytest.fixture(scope="module")
def undisturbed(shared_workshop: Any, shared_models: Any, rows: Any) -> Any:
    document, arms = document_of(shared_workshop, shared_models, rows)
    outcome = shared_workshop.evaluate(document)
    assert outcome.code in (0, 1, 2), outcome.said
    calls = {name: len(endpoint.calls) for name, endpoint in arms.items()}
    return outcome.code, shared_workshop.verdict(document), calls


@pytest.mark.parametrize("kills", [1, 3])
def test_kill_9_at_random_moments(
    workshop: Any, models: Any, tools: Any, rows: Any, undisturbed: Any, kills: int
) -> None:
    code, expected, calls = undisturbed
    document, arms = document_of(workshop, models, rows)
    draw = random.Random(SEED * kills)
    moments = []
    for _ in range(kills):
        arm = draw.choice(sorted(arms))
        done = len(arms[arm].calls)
        left = max(6, calls[arm] - done)
        target = done + draw.randint(left // 2 if kills == 1 else left // 3, left * 2 // 3)
        process = workshop.start("evaluate", document, env=UNHURRIED)
        arms[arm].wait_for_calls(target, seconds=90)
        os.killpg(process.pid, signal.SIGKILL)
        moments.append(time.monotonic())
        assert tools.finish(process).code == -signal.SIGKILL
    old = [call for arm in arms.values() for call in arm.calls if 0 < call.answered_monotonic < moments[0] - 1.0]
    assert len(old) > 2, "the first kill came late enough to prove something"
    assert "INTERRUPTED" in workshop.run("evaluations", "list").out, "nobody is told that it still runs"
    outcome = workshop.evaluate(document)
    assert outcome.code == code, outcome.said
    assert comparable(workshop.verdict(document)) == comparable(expected)
    for endpoint in arms.values():
        for since, moment in itertools.pairwise([float("-inf"), *moments]):
            lost = tools.again(endpoint.calls, moment, since=since)
            assert lost == [], "an answer that was paid for more than 1 s before the kill was lost"
        assert {call.digest for call in endpoint.calls if call.status == 200}


def test_kill_9_while_nothing_is_asked_any_more_asks_nothing_again(
    workshop: Any, models: Any, tools: Any, rows: Any, undisturbed: Any
) -> None:
    """Every reply is there, and the process dies before its report: the next run only analyses."""
    code, expected, calls = undisturbed
    document, arms = document_of(workshop, models, rows)
    process = workshop.start("evaluate", document)
    for name, endpoint in arms.items():
        endpoint.wait_for_calls(calls[name], seconds=90)
    ledger_has_them = time.monotonic() + 1.5
    while process.poll() is None and time.monotonic() < ledger_has_them:
        os.sched_yield()
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    tools.finish(process)
    before = {name: len(endpoint.calls) for name, endpoint in arms.items()}
    if workshop.results(document).exists():
        return  # it was faster than the kill: nothing is left to resume
    outcome = workshop.evaluate(document)
    assert outcome.code == code, outcome.said
    assert {name: len(endpoint.calls) for name, endpoint in arms.items()} == before
    assert comparable(workshop.verdict(document)) == comparable(expected)


@pytest.mark.parametrize(("number", "expects"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_stopped_by_a_person_or_told_to_go_it_resumes(
    workshop: Any, models: Any, tools: Any, rows: Any, undisturbed: Any, number: signal.Signals, expects: int
) -> None:
    """A person's Ctrl-C is final for whatever started the command; SIGTERM asks for it to be started again elsewhere."""
    code, expected, _ = undisturbed
    document, arms = document_of(workshop, models, rows)
    process = workshop.start("evaluate", document, env=UNHURRIED)
    arms["v2"].wait_for_calls(20, seconds=90)
    process.send_signal(number)
    moment = time.monotonic()
    stopped = tools.finish(process)
    assert stopped.code == expects, stopped.said
    assert "the same command goes on" in stopped.err
    assert "Traceback" not in stopped.err
    assert not workshop.results(document).exists()
    outcome = workshop.evaluate(document)
    assert outcome.code == code, outcome.said
    assert comparable(workshop.verdict(document)) == comparable(expected)
    for endpoint in arms.values():
        assert tools.again(endpoint.calls, moment) == []


def test_two_documents_after_a_crash_do_not_spend_each_others_money(
    workshop: Any, models: Any, tools: Any, rows: Any
) -> None:
    first, first_arms = document_of(workshop, models, rows, name="first.yaml")
    second, second_arms = document_of(workshop, models, rows, name="second.yaml")
    process = workshop.start("evaluate", first, env=UNHURRIED)
    first_arms["v2"].wait_for_calls(20, seconds=90)
    os.killpg(process.pid, signal.SIGKILL)
    tools.finish(process)
    spent = {name: len(endpoint.calls) for name, endpoint in first_arms.items()}

    outcome = workshop.evaluate(second)
    assert outcome.code in (0, 1, 2), outcome.said
    assert {name: len(endpoint.calls) for name, endpoint in first_arms.items()} == spent
    assert all(endpoint.calls for endpoint in second_arms.values())

    # The list shows both, and the first still goes on where it was.
    listed = workshop.run("evaluations", "list", "--json")
    assert listed.code == 0
    assert [row["state"] for row in map(json.loads, listed.out.splitlines())] == ["SUCCEEDED", "RUNNING"]
    assert workshop.evaluate(first).code in (0, 1, 2)


def test_a_finished_document_starts_a_new_run_and_a_swapped_model_is_called_again(
    workshop: Any, models: Any, tools: Any, rows: Any
) -> None:
    arms = {"v1": models.sycophant(rows), "v2": models.sycophant(rows)}
    document = workshop.document(arms, rows)
    assert workshop.evaluate(document).code == 0
    first = workshop.verdict(document)
    arms["v2"].answer = models.sycophant(rows, 0.8).answer  # the same URL and name
    outcome = workshop.evaluate(document)
    assert outcome.code == 1, outcome.said
    assert workshop.verdict(document)["evaluation"] != first["evaluation"]


def test_a_change_of_the_gate_only_re_analyses(workshop: Any, models: Any, tools: Any, rows: Any) -> None:
    arms = {"v1": models.sycophant(rows), "v2": models.sycophant(rows, 0.6)}
    gate = {"margin_pp": 15, "margins_pp": {"adopts_belief": 20, "refusals": 20}, "stopping": "fixed"}
    fields = {"conditions": tools.two_cells}
    assert workshop.evaluate(workshop.document(arms, rows, gate=gate, **fields)).code == 1
    before = {name: len(endpoint.calls) for name, endpoint in arms.items()}
    generous = {**gate, "margin_pp": 90, "margins_pp": {"adopts_belief": 90, "refusals": 90}}
    document = workshop.document(arms, rows, gate=generous, **fields)
    outcome = workshop.evaluate(document)
    assert outcome.code == 0, outcome.said
    assert {name: len(endpoint.calls) for name, endpoint in arms.items()} == before, "no call, and no probe either"
    assert any("under other gate" in note for note in workshop.verdict(document)["caveats"])
    assert len(pq.read_table(workshop.results(document) / "results/responses.parquet")) == 2 * 2 * ITEMS


def test_new_starts_anew_and_resume_by_id_goes_on(workshop: Any, models: Any, tools: Any, rows: Any) -> None:
    document, arms = document_of(workshop, models, rows, conditions=tools.two_cells, gate="none")
    process = workshop.start("evaluate", document, env=UNHURRIED)
    arms["v2"].wait_for_calls(10, seconds=90)
    process.terminate()
    assert tools.finish(process).code == 75
    listed = json.loads(workshop.run("evaluations", "list", "--json").out)
    unfinished = listed["name"].removeprefix("evaluations/")

    fresh = workshop.evaluate(document, "--new")
    assert fresh.code == 0, fresh.said
    assert workshop.verdict(document)["evaluation"] != unfinished

    moment = time.monotonic()
    resumed = workshop.evaluate(document, "--resume", unfinished)
    assert resumed.code == 0, resumed.said
    assert workshop.verdict(document)["evaluation"] == unfinished
    assert sum(call.asked_monotonic > moment for call in arms["v2"].calls) < 2 * ITEMS, "it had part of its replies"


def test_resume_refuses_the_evaluation_of_another_document(workshop: Any, models: Any, tools: Any, rows: Any) -> None:
    arms = {"v1": models.sycophant(rows), "v2": models.sycophant(rows)}
    one = workshop.document(arms, rows, name="one.yaml", conditions=tools.two_cells, gate="none")
    assert workshop.evaluate(one).code == 0
    evaluation = workshop.verdict(one)["evaluation"]
    two = workshop.document(arms, rows, name="two.yaml", gate="none", repeats=2, conditions=tools.two_cells)
    before = len(arms["v1"].calls)
    outcome = workshop.evaluate(two, "--resume", evaluation)
    assert outcome.code == 64, outcome.said
    assert evaluation in outcome.err
    assert len(arms["v1"].calls) == before


def test_a_request_id_makes_one_evaluation_of_two_commands(workshop: Any, models: Any, tools: Any, rows: Any) -> None:
    arms = {"v1": models.sycophant(rows), "v2": models.sycophant(rows)}
    document = workshop.document(arms, rows, conditions=tools.two_cells, gate="none")
    assert workshop.evaluate(document, "--request-id", "job-7").code == 0
    first, calls = workshop.verdict(document), len(arms["v1"].calls)
    again = workshop.evaluate(document, "--request-id", "job-7")
    assert again.code == 0, again.said
    assert workshop.verdict(document) == first
    assert len(arms["v1"].calls) == calls


def test_two_commands_on_one_state_take_turns(workshop: Any, models: Any, tools: Any, rows: Any) -> None:
    document, arms = document_of(workshop, models, rows)
    process = workshop.start("evaluate", document, env=UNHURRIED)
    arms["v1"].wait_for_calls(5, seconds=90)
    second = workshop.evaluate(document)
    assert second.code == 75, second.said
    assert "in use by another command" in second.err
    assert str(process.pid) in second.err
    assert "--state" in second.err
    assert tools.finish(process).code in (0, 1, 2)
    third = workshop.run("evaluations", "list")
    assert third.code == 0


def test_a_cut_off_results_folder_is_made_whole(workshop: Any, models: Any, tools: Any, rows: Any) -> None:
    """A report that was half written by a kill is replaced by the next run; a user's own file beside it stays."""
    arms = {"v1": models.sycophant(rows), "v2": models.sycophant(rows)}
    document = workshop.document(arms, rows, conditions=tools.two_cells, gate="none")
    folder = workshop.results(document)
    workshop.write(f"{folder.name}/verdict.json", '{"schema": 1, "verd')
    workshop.write(f"{folder.name}/notes.txt", "mine")
    assert workshop.evaluate(document).code == 0
    assert workshop.verdict(document)["verdict"] == "NONE"
    assert (folder / "notes.txt").read_text() == "mine"
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


def test_a_full_disk_stops_the_run_and_room_lets_it_go_on(workshop: Any, models: Any, tools: Any, rows: Any) -> None:
    """No file may grow beyond 400 kB, so the ledger cannot take all replies."""
    padding = " Let me add a few words." * 100
    answer = models.sycophant(rows).answer
    arms = {name: models.endpoint(lambda call: answer(call) + padding) for name in ("v1", "v2")}
    document = workshop.document(arms, rows, gate="none")
    small_files = ["/bin/sh", "-c", 'ulimit -f 800 && exec "$@"', "sh"]
    stopped = tools.finish(workshop.start("evaluate", document, wrapper=small_files))
    assert stopped.code == 75, stopped.said
    assert "ledger" in stopped.err
    assert "Traceback" not in stopped.err
    assert not workshop.results(document).exists()
    asked = len(arms["v1"].calls)
    assert asked > 1, "the disk filled in the middle of the run"
    outcome = workshop.evaluate(document)
    assert outcome.code == 0, outcome.said
    assert len(arms["v1"].calls) < asked + ITEMS * 10, "what was recorded before is not asked again"
