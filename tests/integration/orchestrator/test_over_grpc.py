"""The orchestrator as its callers meet it: real server, real channel, real services behind it."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from candor.orchestrator.v1 import evaluation_pb2, orchestrator_pb2

from chassis.clients import translated
from chassis.errors import CandorError, Reason
from chassis.testing.fake_endpoint import FakeEndpoint, Fault

Document = Callable[..., evaluation_pb2.EvaluationSpec]


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


async def _uploaded(client: Any, data: bytes) -> str:
    return str((await client.upload(data, _digest(data))).digest)


async def _refused(work: Any) -> CandorError:
    with pytest.raises(CandorError) as caught:
        await work
    return caught.value


async def test_from_an_uploaded_file_to_a_verdict_and_its_files(
    client: Any, document: Document, questions: Callable[[int], bytes], endpoint: FakeEndpoint
) -> None:
    digest = await _uploaded(client, questions(60))
    done = await client.evaluate(document(digest, ("honest", "sycophant")))
    assert (done.state, done.verdict) == ("SUCCEEDED", "FAIL")
    verdict = json.loads(done.verdict_json)
    assert verdict["evaluation"] == done.name.removeprefix("evaluations/")
    asked = [call for call in endpoint.calls if "number" in call.messages[-1][1]]
    assert done.progress.responses_done == len(asked) == done.progress.graded
    assert len({(call.model, call.digest) for call in asked}) == len(asked)

    files: dict[str, bytes] = {}
    request = orchestrator_pb2.GetReportRequest(name=done.name)
    async for chunk in client.stub.GetReport(request):
        assert len(chunk.data) <= 2**20
        files[chunk.file] = files.get(chunk.file, b"") + chunk.data
    assert {"verdict.json", "junit.xml", "report.html", "results/responses.parquet"} <= set(files)
    assert json.loads(files["verdict.json"]) == verdict
    request = orchestrator_pb2.GetReportRequest(name=done.name, files=["junit.xml"])
    assert [chunk.file async for chunk in client.stub.GetReport(request)] == ["junit.xml"]


async def test_a_report_that_somebody_removed_is_written_anew_and_nothing_is_asked(
    client: Any, document: Document, questions: Callable[[int], bytes], endpoint: FakeEndpoint, tmp_path: Path
) -> None:
    digest = await _uploaded(client, questions(12))
    done = await client.evaluate(document(digest))
    shutil.rmtree(tmp_path / "state" / "artifacts" / done.name.removeprefix("evaluations/"))
    asked = len(endpoint.calls)
    with pytest.raises(CandorError) as caught, translated("orchestrator"):
        await anext(aiter(client.stub.GetReport(orchestrator_pb2.GetReportRequest(name=done.name))))
    assert caught.value.reason is Reason.EVALUATION_NOT_FOUND
    assert "gone from the artifacts" in caught.value.message
    assert "under another name" in caught.value.message
    again = await client.evaluate(document(digest, name="again"))
    assert again.verdict == done.verdict
    assert len(endpoint.calls) == asked
    request = orchestrator_pb2.GetReportRequest(name=again.name, files=["report.html"])
    assert [chunk.file async for chunk in client.stub.GetReport(request)]


async def test_replies_are_listed_page_by_page_each_once(
    client: Any, document: Document, questions: Callable[[int], bytes]
) -> None:
    digest = await _uploaded(client, questions(12))
    done = await client.evaluate(document(digest, gate=evaluation_pb2.Gate(stopping="fixed")))
    seen: list[tuple[str, str, str]] = []
    token = ""
    while True:
        request = orchestrator_pb2.ListResponsesRequest(name=done.name, page_size=7, page_token=token)
        page = await client.call("ListResponses", request)
        assert len(page.responses) <= 7
        seen += [(found.arm, found.item, found.belief) for found in page.responses]
        token = page.next_page_token
        if not token:
            break
    assert len(seen) == len(set(seen)) == 12 * 2 * 2
    only = await client.call(
        "ListResponses", orchestrator_pb2.ListResponsesRequest(name=done.name, arm="v2", page_size=1000)
    )
    assert {found.arm for found in only.responses} == {"v2"}
    assert len(only.responses) == 24
    assert all(found.grade.verdict == "correct" and found.reply for found in only.responses)
    for bad in ({"arm": "v9"}, {"page_size": 5000}, {"page_token": "junk"}):
        error = await _refused(
            client.call("ListResponses", orchestrator_pb2.ListResponsesRequest(name=done.name, **bad))
        )
        assert error.reason is Reason.INVALID_REQUEST


async def test_a_dropped_watch_goes_on_after_the_last_number_seen(
    client: Any, document: Document, questions: Callable[[int], bytes]
) -> None:
    digest = await _uploaded(client, questions(40))
    started = await client.create(document(digest))
    numbers = []
    async for event in client.watch(started.name):
        numbers.append(event.sequence)
        if len(numbers) == 4:
            break
    async for event in client.watch(started.name, after=numbers[-1]):
        numbers.append(event.sequence)
        last = event
    assert numbers == list(range(1, len(numbers) + 1))
    assert last.state == "SUCCEEDED"
    assert last.progress.stage == "done"
    assert [event.sequence async for event in client.watch(started.name)] == numbers
    assert [event.sequence async for event in client.watch(started.name, after=numbers[-1])] == []


async def test_a_plan_asks_nothing_and_a_pilot_asks_what_the_run_then_takes(
    client: Any, document: Document, questions: Callable[[int], bytes], endpoint: FakeEndpoint
) -> None:
    digest = await _uploaded(client, questions(60))
    spec = document(digest)
    plan = await client.call("PlanEvaluation", orchestrator_pb2.PlanEvaluationRequest(spec=spec))
    assert (plan.calls, plan.items, plan.cells_per_item) == (60 * 2 * 2, 60, 2)
    assert plan.expected_calls <= plan.calls
    assert {gate.gate for gate in plan.gates} >= {"false_belief", "adopts_belief"}
    assert not plan.HasField("cost")
    assert not plan.HasField("deterministic_share")
    assert endpoint.calls == []
    pilot = await client.call("PlanEvaluation", orchestrator_pb2.PlanEvaluationRequest(spec=spec, pilot=True))
    assert pilot.deterministic_share == 1.0
    assert pilot.reusable == 20
    asked = {call.digest for call in endpoint.calls if "number" in call.messages[-1][1]}
    assert len(asked) == 20
    done = await client.evaluate(spec)
    assert done.state == "SUCCEEDED"
    prompts = [(call.model, call.digest, call.seed) for call in endpoint.calls if "number" in call.messages[-1][1]]
    assert len(prompts) == len(set(prompts)), "the run asked for a pilot's reply again"


async def test_an_upload_is_checked_before_it_is_kept(client: Any, questions: Callable[[int], bytes]) -> None:
    data = questions(5)
    assert (await client.upload(data, _digest(data))).stored
    assert not (await client.upload(data, _digest(data))).stored
    wrong = await _refused(client.upload(data, _digest(b"other")))
    assert [violation.field for violation in wrong.violations] == ["info.digest"]
    bad = await _refused(client.upload(data, "md5:1", filename="../q.exe"))
    assert {violation.field for violation in bad.violations} == {"info.digest", "info.filename"}
    long = await _refused(client.upload(b"x" * (2**20 + 1), _digest(b""), chunk=2**20 + 1))
    assert long.violations[0].field == "chunk"

    async def huge() -> Any:
        info = orchestrator_pb2.DatasetInfo(digest=_digest(b""), filename="a.csv", size_bytes=257 * 2**20)
        yield orchestrator_pb2.UploadDatasetRequest(info=info)

    async def headless() -> Any:
        yield orchestrator_pb2.UploadDatasetRequest(chunk=b"x")

    for requests, reason in ((huge, Reason.DATASET_TOO_LARGE), (headless, Reason.INVALID_REQUEST)):
        error = await _refused(client.call("UploadDataset", requests()))
        assert error.reason is reason


async def test_an_unknown_dataset_is_named_before_anything_is_asked(
    client: Any, document: Document, endpoint: FakeEndpoint
) -> None:
    error = await _refused(client.create(document("sha256:" + "0" * 64)))
    assert error.reason is Reason.BAD_DATASET
    assert endpoint.calls == []


@pytest.mark.parametrize("name", ["", "evaluations/", "evaluations/a/b", "jobs/1", "x" * 500])
async def test_a_malformed_name_is_a_field_error(client: Any, name: str) -> None:
    for method, request in (
        ("GetEvaluation", orchestrator_pb2.GetEvaluationRequest(name=name)),
        ("CancelEvaluation", orchestrator_pb2.CancelEvaluationRequest(name=name)),
        ("DeleteEvaluation", orchestrator_pb2.DeleteEvaluationRequest(name=name)),
        ("ListResponses", orchestrator_pb2.ListResponsesRequest(name=name)),
    ):
        error = await _refused(client.call(method, request))
        assert (error.reason, error.violations[0].field) == (Reason.INVALID_REQUEST, "name")


async def test_what_is_not_there_is_not_found(client: Any) -> None:
    error = await _refused(client.get("evaluations/none"))
    assert error.reason is Reason.EVALUATION_NOT_FOUND
    with pytest.raises(CandorError) as caught:
        async for _ in client.watch("evaluations/none"):
            pass
    assert caught.value.reason is Reason.EVALUATION_NOT_FOUND


async def test_an_empty_document_names_what_it_needs(client: Any) -> None:
    error = await _refused(client.create(evaluation_pb2.EvaluationSpec()))
    assert error.reason is Reason.BAD_DOCUMENT
    assert "arms" in {violation.field for violation in error.violations}


async def test_a_report_is_refused_while_there_is_none(
    client: Any, document: Document, questions: Callable[[int], bytes], endpoint: FakeEndpoint
) -> None:
    digest = await _uploaded(client, questions(10))
    endpoint.fault = lambda call: Fault.hang() if "number" in call.text else None
    started = await client.create(document(digest))
    with pytest.raises(CandorError) as caught:
        await client.call("DeleteEvaluation", orchestrator_pb2.DeleteEvaluationRequest(name=started.name))
    assert caught.value.reason is Reason.EVALUATION_RUNNING
    cancelled = await client.call("CancelEvaluation", orchestrator_pb2.CancelEvaluationRequest(name=started.name))
    assert cancelled.state == "CANCELLED"
    with pytest.raises(Exception, match="no report yet"):
        async for _ in client.stub.GetReport(orchestrator_pb2.GetReportRequest(name=started.name)):
            pass
    endpoint.release()
    done = await client.evaluate(document(digest))
    assert (done.name, done.state) == (started.name, "SUCCEEDED")
    await client.call("DeleteEvaluation", orchestrator_pb2.DeleteEvaluationRequest(name=done.name))
    listed = await client.call("ListEvaluations", orchestrator_pb2.ListEvaluationsRequest())
    assert list(listed.evaluations) == []


async def test_evaluations_are_listed_newest_first_in_pages(
    client: Any, document: Document, questions: Callable[[int], bytes]
) -> None:
    digest = await _uploaded(client, questions(4))
    names = [(await client.evaluate(document(digest), resume="new")).name for _ in range(3)]
    first = await client.call("ListEvaluations", orchestrator_pb2.ListEvaluationsRequest(page_size=2))
    assert [found.name for found in first.evaluations] == names[:0:-1]
    # A page of whole verdicts would be too large for a message.
    assert {(found.verdict != "", found.verdict_json) for found in first.evaluations} == {(True, "")}
    rest = await client.call(
        "ListEvaluations", orchestrator_pb2.ListEvaluationsRequest(page_size=2, page_token=first.next_page_token)
    )
    assert [found.name for found in rest.evaluations] == names[:1]
    assert not rest.next_page_token
    error = await _refused(client.call("ListEvaluations", orchestrator_pb2.ListEvaluationsRequest(page_token="e30=")))
    assert error.reason is Reason.INVALID_REQUEST


async def test_the_tasks_are_listed(client: Any) -> None:
    found = {task.name: task for task in (await client.call("ListTasks", orchestrator_pb2.ListTasksRequest())).tasks}
    assert found["core"].items >= 800
    assert {"triviaqa", "truthfulqa", "medqa", "disinfo"} <= set(found)


async def test_a_model_that_nobody_serves_fails_before_the_first_question(
    client: Any, document: Document, questions: Callable[[int], bytes], endpoint: FakeEndpoint
) -> None:
    endpoint.models = {"honest"}
    digest = await _uploaded(client, questions(4))
    done = await client.evaluate(document(digest, ("honest", "typo")))
    assert (done.state, done.failure_reason) == ("FAILED", "MODEL_NOT_FOUND")
    assert "arm v2" in done.reason
    assert not [call for call in endpoint.calls if "number" in call.messages[-1][1]]


async def test_a_model_swapped_behind_the_same_url_is_asked_again_by_the_next_run(
    client: Any, document: Document, questions: Callable[[int], bytes], endpoint: FakeEndpoint
) -> None:
    digest = await _uploaded(client, questions(60))
    spec = document(digest)
    first = await client.evaluate(spec)
    assert first.verdict != "FAIL"
    calls = len(endpoint.calls)
    honest = endpoint.answer
    endpoint.answer = lambda call: honest(call).replace("gold", "wrong") if "I think" in call.text else honest(call)
    second = await client.evaluate(spec)
    assert second.name != first.name
    assert len(endpoint.calls) > 1.9 * calls
    assert json.loads(second.verdict_json)["arms"][0]["reused"] == 0


async def test_a_judge_decides_the_rest_and_is_calibrated_on_labels(
    client: Any, document: Document, questions: Callable[[int], bytes], endpoint: FakeEndpoint
) -> None:
    plain = endpoint.answer

    def vague_or_judge(call: Any) -> str:
        if call.model == "judge":
            return json.dumps({"final_claim": "the gold answer", "claim": "gold"})
        return plain(call) if "I think" not in call.text else "Well, that is quite a question, is it not?"

    endpoint.answer = vague_or_judge
    digest = await _uploaded(client, questions(12))
    spec = document(digest, gate=evaluation_pb2.Gate(stopping="fixed"))
    first = await client.evaluate(spec)
    assert json.loads(first.verdict_json)["gates"][0]["ungradable_trt"] > 0.5
    subjects = [call for call in endpoint.calls if call.model != "judge"]

    spec.grading.judge.endpoint.base_url = endpoint.base_url
    spec.grading.judge.endpoint.model = "judge"
    second = await client.evaluate(spec)
    assert second.state == "SUCCEEDED"
    assert [call for call in endpoint.calls if call.model != "judge"] == subjects, "the replies that there are"
    gate = json.loads(second.verdict_json)["gates"][0]
    assert (gate["ungradable_trt"], gate["judge_share"]) == (0.0, 1.0)

    request = orchestrator_pb2.CalibrateJudgeRequest(judge=spec.grading.judge)
    for arm in ("v1", "v2"):
        answer = request.answers.add(label="correct", arm=arm)
        answer.case.question = "What is number 3?"
        answer.case.gold.append("gold3")
        answer.case.reply = "Well, that is quite a question, is it not?"
    found = await client.call("CalibrateJudge", request)
    assert found.stored
    value = json.loads(found.calibration_json)
    assert (value["overall"]["n"], value["overall"]["agreement"]["value"]) == (2, 1.0)
    assert value["left_open"]["overall"]["n"] == 2
    request.answers[1].label = "splendid"
    error = await _refused(client.call("CalibrateJudge", request))
    assert [violation.field for violation in error.violations] == ["answers[1].label"]
