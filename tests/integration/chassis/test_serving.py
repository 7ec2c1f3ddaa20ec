"""A server over a real channel: health, reflection, tokens, request ids, errors, drain, metrics."""

import asyncio
import contextlib
import hashlib
import io
import urllib.request
from collections.abc import Callable
from typing import Any

import grpc
import pytest
import structlog
from candor.inference.v1 import inference_pb2 as pb
from candor.inference.v1 import inference_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from chassis.auth.callers import Limits
from chassis.clients import Target, connect, stream, translated
from chassis.errors import CandorError, Reason
from chassis.logs import configure, request_id
from chassis.serving import Service, serve
from chassis.settings import ServerSettings
from chassis.testing import running

NAME = "candor.inference.v1.InferenceService"
Build = Callable[..., Service]


async def describe(address: str, token: str = "") -> pb.DescribeModelResponse:
    channel = connect(Target.with_token(address, token))
    try:
        with translated("inference"):
            response: pb.DescribeModelResponse = await inference_pb2_grpc.InferenceServiceStub(channel).DescribeModel(
                pb.DescribeModelRequest(), timeout=10
            )
        return response
    finally:
        await channel.close()


async def health(channel: grpc.aio.Channel, name: str) -> str:
    response = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=name), timeout=5)
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(response.status))


async def ended(call: Any) -> None:
    with contextlib.suppress(asyncio.CancelledError, grpc.aio.AioRpcError):
        if hasattr(call, "__aiter__"):
            async for _ in call:
                pass
        else:
            await call


async def test_a_call_is_answered(service: Build) -> None:
    async with running(service(), ServerSettings()) as address:
        assert (await describe(address)).identity.digest == "sha256:1"


async def test_health_says_serving_only_while_the_service_is_ready(service: Build) -> None:
    ready = True

    async def check() -> bool:
        return ready

    async with running(service(ready=check), ServerSettings(ready_interval_seconds=0.01)) as address:
        channel = connect(Target(address))
        for name in ("", NAME):
            watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=name), timeout=30)
            seen = aiter(watch)
            assert (await anext(seen)).status == health_pb2.HealthCheckResponse.SERVING
            ready = False
            assert (await anext(seen)).status == health_pb2.HealthCheckResponse.NOT_SERVING
            ready = True
            assert (await anext(seen)).status == health_pb2.HealthCheckResponse.SERVING
            watch.cancel()
        await channel.close()


async def test_a_service_that_is_not_ready_never_claims_to_be(service: Build) -> None:
    async def check() -> bool:
        return False

    async with running(service(ready=check), ServerSettings()) as address:
        channel = connect(Target(address))
        assert [await health(channel, name) for name in ("", NAME)] == ["NOT_SERVING", "NOT_SERVING"]
        await channel.close()


async def test_live_does_not_depend_on_readiness(service: Build) -> None:
    async def check() -> bool:
        return False

    async with running(service(ready=check), ServerSettings()) as address:
        channel = connect(Target(address))
        assert [await health(channel, name) for name in (NAME, "live")] == ["NOT_SERVING", "SERVING"]
        await channel.close()


async def test_the_health_port_has_the_same_health_and_nothing_else(
    service: Build, certificates: Any, unused_tcp_port: int
) -> None:
    cert, key = certificates.server
    settings = ServerSettings(tls_cert_file=cert, tls_key_file=key, token_sha256="0" * 64, health_port=unused_tcp_port)
    async with running(service(), settings):
        probe = grpc.aio.insecure_channel(f"127.0.0.1:{unused_tcp_port}")  # neither TLS nor a token, as kubelet
        assert [await health(probe, name) for name in ("", NAME, "live")] == ["SERVING"] * 3
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await inference_pb2_grpc.InferenceServiceStub(probe).DescribeModel(pb.DescribeModelRequest(), timeout=5)
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
        assert await reflection_pb2_grpc.ServerReflectionStub(probe).ServerReflectionInfo().code() is (
            grpc.StatusCode.UNIMPLEMENTED
        )
        watch = health_pb2_grpc.HealthStub(probe).Watch(health_pb2.HealthCheckRequest(), timeout=5)
        assert await watch.code() is grpc.StatusCode.UNIMPLEMENTED  # nobody holds a call open there
        await probe.close()


async def test_calls_that_are_left_open_on_the_health_port_keep_no_probe_out(
    service: Build, unused_tcp_port: int
) -> None:
    async with running(service(), ServerSettings(health_port=unused_tcp_port)), contextlib.AsyncExitStack() as opened:

        async def connection() -> grpc.aio.Channel:
            own = [("grpc.use_local_subchannel_pool", 1)]
            return await opened.enter_async_context(
                grpc.aio.insecure_channel(f"127.0.0.1:{unused_tcp_port}", options=own)
            )

        for _ in range(20):
            channel = await connection()
            for _ in range(5):  # begun, and nothing sent
                await channel.stream_unary("/grpc.health.v1.Health/Check")().wait_for_connection()
        assert await health(await connection(), NAME) == "SERVING"


async def test_probes_see_the_drain_to_its_end(service: Build, latch: Any, unused_tcp_port: int) -> None:
    started: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    settings = ServerSettings(health_port=unused_tcp_port)
    server = asyncio.create_task(serve(service(latch), settings, started=started, stop=stop))
    address = f"127.0.0.1:{await started}"
    probe = grpc.aio.insecure_channel(f"127.0.0.1:{unused_tcp_port}")
    caller = grpc.aio.insecure_channel(address)
    watch = health_pb2_grpc.HealthStub(caller).Watch(health_pb2.HealthCheckRequest(service=NAME), timeout=30)
    seen = aiter(watch)
    assert (await anext(seen)).status == health_pb2.HealthCheckResponse.SERVING
    call = asyncio.create_task(describe(address))
    await latch.arrived.wait()
    stop.set()
    assert (await anext(seen)).status == health_pb2.HealthCheckResponse.NOT_SERVING
    watch.cancel()
    await caller.close()
    fresh = grpc.aio.insecure_channel(address)
    with pytest.raises(CandorError) as caught, translated("inference"):
        await inference_pb2_grpc.InferenceServiceStub(fresh).DescribeModel(pb.DescribeModelRequest(), timeout=5)
    assert caught.value.reason is Reason.SERVICE_UNAVAILABLE  # which our channels try again
    await fresh.close()
    assert [await health(probe, name) for name in (NAME, "live")] == ["NOT_SERVING"] * 2  # while a call is under way
    await probe.close()
    latch.opened.set()
    assert (await call).identity.digest == "sha256:1"
    await server


async def test_reflection_lists_the_services(service: Build) -> None:
    async with running(service(), ServerSettings()) as address:
        channel = connect(Target(address))
        call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo()
        await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
        response = await call.read()
        await call.done_writing()
        names = {found.name for found in response.list_services_response.service}
        assert {NAME, "grpc.health.v1.Health"} <= names
        await channel.close()


async def test_a_token_is_required_and_compared(service: Build) -> None:
    settings = ServerSettings(token_sha256=hashlib.sha256(b"right").hexdigest())
    async with running(service(), settings) as address:
        for token in ("", "wrong"):
            with pytest.raises(CandorError) as caught:
                await describe(address, token)
            assert caught.value.reason is Reason.CALLER_UNAUTHENTICATED
        assert (await describe(address, "right")).identity.digest == "sha256:1"

        channel = connect(Target(address))
        assert await health(channel, NAME) == "SERVING"  # probes carry no token
        await channel.close()


async def test_what_asks_for_health_uses_up_no_caller_s_limits(service: Build) -> None:
    limits = Limits(calls_in_flight=2, calls_per_second=2)
    settings = ServerSettings(token_sha256=hashlib.sha256(b"right").hexdigest(), limits=limits)
    async with running(service(), settings) as address:
        channel = connect(Target(address))
        watches = [health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest()) for _ in range(5)]
        for watch in watches:
            await anext(aiter(watch))
        assert (await describe(address, "right")).identity.digest == "sha256:1"
        for watch in watches:
            watch.cancel()
        await channel.close()


async def test_a_request_id_reaches_the_handler_and_a_missing_one_is_made(service: Build) -> None:
    seen: list[str] = []

    async def note() -> None:
        seen.append(request_id.get())

    async with running(service(note), ServerSettings()) as address:
        token = request_id.set("run-7")
        await describe(address)
        request_id.reset(token)
        await describe(address)
    assert seen[0] == "run-7"
    assert len(seen[1]) == 32


async def test_a_defect_reaches_the_caller_as_internal_and_the_log_as_a_traceback(
    service: Build, capsys: pytest.CaptureFixture[str]
) -> None:
    async def fail() -> None:
        raise KeyError("the secret inside")

    configure("json", "INFO")
    try:
        async with running(service(fail), ServerSettings()) as address:
            token = request_id.set("run-8")
            with pytest.raises(CandorError) as caught:
                await describe(address)
            request_id.reset(token)
    finally:
        structlog.reset_defaults()
    assert caught.value.reason is Reason.INTERNAL
    assert "run-8" in caught.value.message
    for word in ("secret", "KeyError", "Traceback", ".py"):
        assert word not in caught.value.message
    assert "the secret inside" in capsys.readouterr().err


async def test_an_error_of_ours_arrives_with_reason_fields_and_retryability(service: Build) -> None:
    async def fail() -> None:
        raise CandorError(Reason.RATE_LIMITED, "slow down", metadata={"host": "a"})

    async with running(service(fail), ServerSettings()) as address:
        channel = grpc.aio.insecure_channel(address)  # without our retries
        with pytest.raises(CandorError) as caught, translated("inference"):
            await inference_pb2_grpc.InferenceServiceStub(channel).DescribeModel(pb.DescribeModelRequest(), timeout=5)
        await channel.close()
    assert (caught.value.reason, caught.value.message, caught.value.retryable) == (
        Reason.RATE_LIMITED,
        "slow down",
        True,
    )
    assert dict(caught.value.metadata) == {"host": "a"}


async def test_an_unavailable_answer_is_asked_again(service: Build) -> None:
    tries = 0

    async def fail_once() -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise CandorError(Reason.SERVICE_UNAVAILABLE, "restarting")

    async with running(service(fail_once), ServerSettings()) as address:
        assert (await describe(address)).identity.digest == "sha256:1"
    assert tries == 2


async def test_what_a_service_has_tried_itself_is_not_asked_again(service: Build) -> None:
    tries = 0

    async def fail() -> None:
        nonlocal tries
        tries += 1
        raise CandorError(Reason.ENDPOINT_UNAVAILABLE, "the endpoint is away")

    async with running(service(fail), ServerSettings()) as address:
        with pytest.raises(CandorError, match="away"):
            await describe(address)
    assert tries == 1


async def test_a_stream_fails_with_its_error_after_what_came_before(service: Build) -> None:
    tries = 0

    async def fail_third() -> None:
        nonlocal tries
        tries += 1
        if tries == 3:
            raise CandorError(Reason.ENDPOINT_UNAVAILABLE, "gone")

    async with running(service(fail_third), ServerSettings()) as address:
        channel = connect(Target(address))
        call = inference_pb2_grpc.InferenceServiceStub(channel).BatchGenerate(pb.BatchGenerateRequest(), timeout=10)
        got: list[int] = []

        async def collect() -> None:
            async for response in stream("inference", call):
                got.append(response.index)  # noqa: PERF401 - kept when the stream breaks

        with pytest.raises(CandorError, match="gone"):
            await collect()
        await channel.close()
    assert got == [0, 1]


async def test_an_unreachable_server_is_named() -> None:
    channel = grpc.aio.insecure_channel("127.0.0.1:1")
    with pytest.raises(CandorError) as caught, translated("inference"):
        await inference_pb2_grpc.InferenceServiceStub(channel).DescribeModel(pb.DescribeModelRequest(), timeout=5)
    await channel.close()
    assert caught.value.reason is Reason.SERVICE_UNAVAILABLE
    assert caught.value.message.startswith("inference: ")


async def test_a_call_without_an_answer_ends_at_its_deadline(service: Build, latch: Any) -> None:
    async with running(service(latch), ServerSettings(drain_seconds=0)) as address:
        channel = connect(Target(address))
        with pytest.raises(CandorError) as caught, translated("inference"):
            await inference_pb2_grpc.InferenceServiceStub(channel).DescribeModel(
                pb.DescribeModelRequest(), timeout=0.05
            )
        await channel.close()
    assert caught.value.reason is Reason.DEADLINE_EXCEEDED


async def test_stopping_lets_calls_under_way_finish_and_takes_no_new_ones(service: Build, latch: Any) -> None:
    built, settings = service(latch), ServerSettings()
    started: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    server = asyncio.create_task(serve(built, settings, started=started, stop=stop))
    address = f"127.0.0.1:{await started}"
    channel = connect(Target(address))
    watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=NAME), timeout=30)
    seen = aiter(watch)
    assert (await anext(seen)).status == health_pb2.HealthCheckResponse.SERVING

    call = asyncio.create_task(describe(address))
    await latch.arrived.wait()
    stop.set()
    assert (await anext(seen)).status == health_pb2.HealthCheckResponse.NOT_SERVING  # health turns first
    watch.cancel()
    await channel.close()

    fresh = grpc.aio.insecure_channel(address)
    with pytest.raises(CandorError), translated("inference"):
        await inference_pb2_grpc.InferenceServiceStub(fresh).DescribeModel(pb.DescribeModelRequest(), timeout=2)
    await fresh.close()
    assert not call.done()
    latch.opened.set()
    assert (await call).identity.digest == "sha256:1"
    await server


async def test_a_call_that_outlives_the_drain_is_cut(service: Build, latch: Any) -> None:
    async with running(service(latch), ServerSettings(drain_seconds=0.05)) as address:
        channel = grpc.aio.insecure_channel(address)
        call = inference_pb2_grpc.InferenceServiceStub(channel).DescribeModel(pb.DescribeModelRequest(), timeout=30)
        await latch.arrived.wait()
    with pytest.raises(grpc.aio.AioRpcError):
        await call
    await channel.close()


async def test_a_call_that_its_caller_gave_up_frees_its_place(service: Build) -> None:
    arrived, left = asyncio.Event(), asyncio.Event()
    waits = True

    async def wait() -> None:
        if waits:
            arrived.set()
            try:
                await asyncio.Event().wait()
            finally:
                left.set()

    async with running(service(wait), ServerSettings(limits=Limits(calls_in_flight=1))) as address:
        channel = connect(Target(address))
        stub = inference_pb2_grpc.InferenceServiceStub(channel)
        for kind in (stub.DescribeModel, stub.BatchGenerate):
            waits = True
            call = kind(pb.DescribeModelRequest() if kind is stub.DescribeModel else pb.BatchGenerateRequest())
            reading = asyncio.create_task(ended(call))
            await arrived.wait()
            with pytest.raises(CandorError) as caught:
                await describe(address)
            assert caught.value.reason is Reason.CALLER_LIMITED
            call.cancel()
            await left.wait()
            await reading
            waits = False
            assert (await describe(address)).identity.digest == "sha256:1"
            arrived.clear()
            left.clear()
        await channel.close()


async def test_metrics_have_their_own_port(service: Build, unused_tcp_port: int) -> None:
    async with running(service(), ServerSettings(metrics_port=unused_tcp_port)) as address:
        await describe(address)
        url = f"http://127.0.0.1:{unused_tcp_port}/metrics"
        page: io.BufferedIOBase = await asyncio.to_thread(urllib.request.urlopen, url, timeout=5)
        with page:
            text = page.read().decode()
    assert 'candor_rpc_calls_total{code="OK",method="DescribeModel"} 1.0' in text
    assert 'candor_build_info{service="test"' in text
    assert "candor_ready 1.0" in text


async def test_a_taken_port_is_an_error(service: Build) -> None:
    async with running(service(), ServerSettings()) as address:
        port = int(address.rpartition(":")[2])
        with pytest.raises(CandorError, match="taken"):
            async with running(service(), ServerSettings(port=port)):
                raise AssertionError("two servers on one port")


async def test_a_message_over_the_limit_is_refused_by_name(service: Build) -> None:
    async with running(service(), ServerSettings(max_message_bytes=1000)) as address:
        channel = connect(Target(address))
        request = pb.DescribeModelRequest()
        request.model.revision = "x" * 5000
        with pytest.raises(CandorError) as caught, translated("inference"):
            await inference_pb2_grpc.InferenceServiceStub(channel).DescribeModel(request, timeout=5)
        await channel.close()
    assert caught.value.reason is Reason.BATCH_TOO_LARGE
