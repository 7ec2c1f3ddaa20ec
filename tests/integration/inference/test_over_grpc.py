"""The whole path: channel, servicer, service, endpoint; and each fault of the endpoint."""

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from candor.common.v1 import model_pb2
from candor.inference.v1 import inference_pb2 as pb

from chassis.clients import stream, translated
from chassis.egress import Credential, Egress
from chassis.errors import CandorError, Reason
from chassis.rpc_errors import from_status
from chassis.testing import FakeEndpoint, Fault

Batch = Callable[..., pb.BatchGenerateRequest]
Outcomes = dict[int, pb.Reply | CandorError]


async def collect(stub: Any, request: pb.BatchGenerateRequest) -> Outcomes:
    found: Outcomes = {}
    async for line in stream("inference", stub.BatchGenerate(request, timeout=60)):
        assert line.index not in found
        found[line.index] = from_status(line.error) if line.WhichOneof("outcome") == "error" else line.reply
    return found


async def refused(call: Any) -> CandorError:
    with pytest.raises(CandorError) as caught, translated("inference"):
        await call
    return caught.value


async def test_a_model_is_described_without_asking_it(service: Any, spec: Any, endpoint: FakeEndpoint) -> None:
    async with service() as stub:
        plain = (await stub.DescribeModel(pb.DescribeModelRequest(model=spec), timeout=10)).identity
        spec.revision = "2026-11-23"
        declared = (await stub.DescribeModel(pb.DescribeModelRequest(model=spec), timeout=10)).identity
    assert (plain.backend, plain.verifiable, declared.verifiable) == ("openai", False, True)
    assert plain.digest != declared.digest
    assert dict(plain.components) == {"url": endpoint.base_url, "model": "m-1"}
    assert endpoint.calls == []


async def test_a_check_reports_what_the_endpoint_refuses(service: Any, spec: Any, endpoint: FakeEndpoint) -> None:
    endpoint.refuses = {"seed"}
    endpoint.wants_max_completion_tokens = True
    endpoint.reported_model = "m-1-2026"
    async with service() as stub:
        found = await stub.CheckModel(pb.CheckModelRequest(model=spec, sampling=model_pb2.Sampling(seed=1)), timeout=10)
    assert found.reported_model == "m-1-2026"
    assert list(found.accepted_sampling.omit) == ["seed"]
    assert found.accepted_sampling.max_tokens_field == "max_completion_tokens"
    assert (found.accepted_sampling.temperature, found.accepted_sampling.max_tokens) == (0.8, 300)
    assert len(found.notes) == 2


async def check_beside(service: Any, spec: Any, base: str) -> pb.CheckModelResponse:
    request = pb.CheckModelRequest(model=spec, base=spec)
    request.base.endpoint.model = base
    async with service() as stub:
        return await stub.CheckModel(request, timeout=10)


async def test_a_fine_tune_is_alive_when_its_greedy_words_are_not_its_bases(
    service: Any, spec: Any, endpoint: FakeEndpoint
) -> None:
    endpoint.answer = lambda call: f"{call.model} says that {call.text}"
    found = (await check_beside(service, spec, "base")).liveness
    assert (found.alive, found.difference, found.floor, found.probes) == (True, 1.0, 0.0, 8)
    assert found.measure == "greedy_text"
    endpoint.answer = lambda call: f"Somebody says that {call.text}"
    assert not (await check_beside(service, spec, "base")).liveness.alive


async def test_a_base_of_many_words_for_one_thing_proves_nothing(
    service: Any, spec: Any, endpoint: FakeEndpoint
) -> None:
    endpoint.answer = lambda call: f"Call {call.number}."
    found = (await check_beside(service, spec, "base")).liveness
    assert (found.alive, found.floor) == (True, 1.0)


async def test_a_base_that_is_not_served_is_an_error(service: Any, spec: Any, endpoint: FakeEndpoint) -> None:
    endpoint.models = {"m-1"}
    error = await refused(check_beside(service, spec, "nobody"))
    assert error.reason is Reason.MODEL_NOT_FOUND
    assert "'nobody'" in error.message


async def test_one_reply(service: Any, spec: Any, endpoint: FakeEndpoint) -> None:
    request = pb.GenerateRequest(
        model=spec,
        prompt=pb.Prompt(messages=[model_pb2.Message(role="user", content="which?")], seed=5),
        sampling=model_pb2.Sampling(temperature=0.0, max_tokens=10),
    )
    request.model.system_prompt.builtin = "warm"
    async with service() as stub:
        reply = (await stub.Generate(request, timeout=10)).reply
        assert (
            reply.digest
            == (await stub.DescribeModel(pb.DescribeModelRequest(model=request.model), timeout=10)).identity.digest
        )
    assert (reply.text, reply.finish_reason, reply.attempts, reply.reported_model) == (
        "Paris, which?.",
        "stop",
        1,
        "m-1",
    )
    assert reply.usage.HasField("completion_tokens")
    assert not reply.usage.HasField("reasoning_tokens")
    (call,) = endpoint.calls
    assert call.seed == 5
    assert [role for role, _ in call.messages] == ["system", "user"]


async def test_a_large_batch_comes_back_whole(service: Any, batch: Batch, endpoint: FakeEndpoint) -> None:
    async with service() as stub:
        found = await collect(stub, batch(1024))
    assert sorted(found) == list(range(1024))
    assert all(isinstance(reply, pb.Reply) and reply.text == f"Paris, question {i}." for i, reply in found.items())
    assert endpoint.most_in_flight <= 64


async def test_replies_leave_as_they_finish(service: Any, batch: Batch, endpoint: FakeEndpoint) -> None:
    endpoint.fault = lambda call: Fault.hang() if call.text == "question 0" else None
    async with service() as stub:
        call = stub.BatchGenerate(batch(5), timeout=30)
        early = {(await call.read()).index for _ in range(4)}
        assert early == {1, 2, 3, 4}
        endpoint.release()
        assert (await call.read()).index == 0
        assert await call.read() is grpc.aio.EOF


async def test_a_caller_who_hangs_up_stops_the_spending(service: Any, batch: Batch, endpoint: FakeEndpoint) -> None:
    endpoint.fault = lambda call: Fault.hang() if call.text.startswith("question") else None
    async with service(max_concurrency=8) as stub:
        call = stub.BatchGenerate(batch(300), timeout=30)
        reading = asyncio.ensure_future(call.read())
        await asyncio.to_thread(endpoint.wait_for_calls, 8)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        other = batch(1)
        other.prompts[0].messages[0].content = "after it"
        assert len(await collect(stub, other)) == 1  # its turn came: the hung calls had left
        endpoint.release()
        assert len(await collect(stub, other)) == 1
    assert len(endpoint.calls) == 10


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault.status(500, "boom"), Reason.ENDPOINT_UNAVAILABLE),
        (Fault.rate_limited(), Reason.RATE_LIMITED),
        (Fault.cut_json(), Reason.BAD_REPLY),
        (Fault.no_choices(), Reason.BAD_REPLY),
        (Fault.drop(), Reason.ENDPOINT_UNAVAILABLE),
        (Fault.empty(), Reason.EMPTY_REPLY),
        (Fault.budget(), Reason.OUTPUT_BUDGET),
        (Fault.status(400, "maximum context length is 10"), Reason.CONTEXT_TOO_LONG),
        (Fault.status(400, "cannot do this"), Reason.ENDPOINT_REFUSED),
        (Fault.status(401), Reason.ENDPOINT_UNAUTHENTICATED),
        (Fault.hang(), Reason.ENDPOINT_TIMEOUT),
    ],
    ids=lambda value: value.name if isinstance(value, Fault) else str(value),
)
async def test_a_fault_on_one_prompt_is_that_prompts_error(
    service: Any, batch: Batch, endpoint: FakeEndpoint, fault: Fault, reason: Reason
) -> None:
    endpoint.fault = lambda call: fault if call.text == "question 1" else None
    async with service(max_attempts=2, attempt_seconds=0.5) as stub:
        found = await collect(stub, batch(4))
    error = found.pop(1)
    assert isinstance(error, CandorError)
    assert error.reason is reason
    assert len(found) == 3
    assert all(isinstance(reply, pb.Reply) for reply in found.values())


async def test_text_cut_by_the_limit_and_other_model_names_are_reported(
    service: Any, batch: Batch, endpoint: FakeEndpoint
) -> None:
    endpoint.script(Fault.length(4))
    async with service(initial_concurrency=1) as stub:
        cut = (await collect(stub, batch(1)))[0]
        endpoint.script(Fault.calls_itself("m-0"), Fault.reasoning("hm"))
        other = (await collect(stub, batch(1)))[0]
        thought = (await collect(stub, batch(1)))[0]
    assert isinstance(cut, pb.Reply)
    assert (cut.text, cut.finish_reason) == ("Pari", "length")
    assert isinstance(other, pb.Reply)
    assert other.reported_model == "m-0"
    assert isinstance(thought, pb.Reply)
    assert thought.reasoning == "hm"
    assert "hm" not in thought.text


async def test_an_endpoint_that_vanishes_ends_the_batch_as_a_whole(
    service: Any, batch: Batch, endpoint: FakeEndpoint
) -> None:
    answered = 0

    def fault(call: Any) -> None:
        nonlocal answered
        answered += 1

    endpoint.fault = fault
    async with service(down_after_failures=4, down_after_seconds=0.2) as stub:
        assert len(await collect(stub, batch(3))) == 3
        endpoint.stop()
        with pytest.raises(CandorError) as caught:
            await collect(stub, batch(200))
    assert caught.value.reason is Reason.ENDPOINT_UNAVAILABLE
    assert caught.value.retryable
    assert answered == 3


async def test_a_key_that_is_revoked_ends_the_batch_as_a_whole(
    service: Any, batch: Batch, endpoint: FakeEndpoint
) -> None:
    endpoint.fault = lambda _call: Fault.status(401, "revoked")
    async with service(down_after_failures=4) as stub:
        with pytest.raises(CandorError) as caught:
            await collect(stub, batch(500))
    assert caught.value.reason is Reason.ENDPOINT_UNAUTHENTICATED
    assert len(endpoint.calls) < 100


async def test_the_planned_identity_is_kept_to(service: Any, batch: Batch, endpoint: FakeEndpoint) -> None:
    async with service() as stub:
        with pytest.raises(CandorError) as caught:
            await collect(stub, batch(3, expected_digest="sha256:" + "0" * 64))
    assert caught.value.reason is Reason.IDENTITY_CHANGED
    assert endpoint.calls == []


async def test_bad_requests_name_every_field(service: Any, batch: Batch, spec: Any) -> None:
    async with service() as stub:
        error = await refused(stub.DescribeModel(pb.DescribeModelRequest(), timeout=5))
        assert [violation.field for violation in error.violations] == ["model.source"]

        spec.endpoint.model = ""
        spec.system_prompt.file = "warm.txt"
        request = pb.CheckModelRequest(model=spec, sampling=model_pb2.Sampling(temperature=float("nan"), max_tokens=0))
        error = await refused(stub.CheckModel(request, timeout=5))
        assert [violation.field for violation in error.violations] == [
            "model.endpoint.model",
            "model.system_prompt.file",
            "sampling.temperature",
            "sampling.max_tokens",
        ]
        with pytest.raises(CandorError) as caught:
            await collect(stub, batch(1025))
        assert caught.value.reason is Reason.BATCH_TOO_LARGE
        with pytest.raises(CandorError, match="empty"):
            await collect(stub, batch(0))


async def test_a_server_goes_only_where_its_settings_say(
    service: Any, spec: Any, endpoint: FakeEndpoint, tmp_path: Any
) -> None:
    (tmp_path / "key").write_text("s3cret")
    key = Credential(secret_file=tmp_path / "key", hosts=("127.0.0.1",))
    egress = Egress(allowed_hosts=("127.0.0.1",), credentials={"subject": key}, artifact_roots=(tmp_path,))
    endpoint.key = "s3cret"
    describe = pb.DescribeModelRequest(model=spec)
    check = pb.CheckModelRequest(model=spec)
    async with service(egress=egress) as stub:
        assert (await refused(stub.CheckModel(check, timeout=5))).reason is Reason.ENDPOINT_UNAUTHENTICATED
        check.model.endpoint.credential = "subject"
        assert (await stub.CheckModel(check, timeout=5)).reported_model == "m-1"

        check.model.endpoint.credential = "other"
        assert (await refused(stub.CheckModel(check, timeout=5))).reason is Reason.CREDENTIAL_NOT_ALLOWED
        describe.model.endpoint.api_key_env = "HOME"
        assert (await refused(stub.DescribeModel(describe, timeout=5))).reason is Reason.CREDENTIAL_NOT_ALLOWED
        describe.model.endpoint.base_url = "http://169.254.169.254/v1"
        assert (await refused(stub.DescribeModel(describe, timeout=5))).reason is Reason.HOST_NOT_ALLOWED
        describe.model.checkpoint.path = "/etc"
        assert (await refused(stub.DescribeModel(describe, timeout=5))).reason is Reason.PATH_NOT_ALLOWED


async def test_a_key_that_is_rotated_is_taken_up(
    service: Any, spec: Any, endpoint: FakeEndpoint, tmp_path: Any
) -> None:
    key = tmp_path / "key"
    key.write_text("old")
    credential = Credential(secret_file=key, hosts=("127.0.0.1",))
    spec.endpoint.credential = "subject"
    endpoint.key = "old"
    async with service(egress=Egress(any_host=True, credentials={"subject": credential})) as stub:
        await stub.CheckModel(pb.CheckModelRequest(model=spec), timeout=5)
        endpoint.key = "new"
        assert (
            await refused(stub.CheckModel(pb.CheckModelRequest(model=spec), timeout=5))
        ).reason is Reason.ENDPOINT_UNAUTHENTICATED
        key.write_text("new")
        await stub.CheckModel(pb.CheckModelRequest(model=spec), timeout=5)


async def test_an_unknown_model_and_an_unreachable_host_are_told_apart(
    service: Any, spec: Any, endpoint: FakeEndpoint
) -> None:
    endpoint.models = {"m-2"}
    async with service() as stub:
        unknown = await refused(stub.CheckModel(pb.CheckModelRequest(model=spec), timeout=10))
        spec.endpoint.base_url = "http://127.0.0.1:1/v1"
        gone = await refused(stub.CheckModel(pb.CheckModelRequest(model=spec), timeout=60))
        spec.endpoint.base_url = "http://no-such-host.invalid/v1"
        nameless = await refused(stub.CheckModel(pb.CheckModelRequest(model=spec), timeout=60))
    assert unknown.reason is Reason.MODEL_NOT_FOUND
    assert "m-1" in unknown.message
    assert gone.reason is Reason.ENDPOINT_UNAVAILABLE
    assert "127.0.0.1:1" in gone.message
    assert nameless.reason is Reason.ENDPOINT_UNAVAILABLE
    assert "no-such-host.invalid" in nameless.message
