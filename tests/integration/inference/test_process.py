"""`python -m services.inference` as a process."""

import asyncio
import json
import os
import signal
import sys
from typing import Any

from candor.inference.v1 import inference_pb2 as pb
from candor.inference.v1 import inference_pb2_grpc

from chassis.clients import Target, connect
from chassis.testing import FakeEndpoint, Fault


async def start(**settings: str) -> asyncio.subprocess.Process:
    names = {f"CANDOR_INFERENCE_{name}": value for name, value in settings.items()}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-W", "error", "-m", "services.inference"),
        env={**os.environ, "CANDOR_INFERENCE_LOG_FORMAT": "json", **names},
        stderr=asyncio.subprocess.PIPE,
    )


async def test_sigterm_lets_the_calls_under_way_finish(spec: Any, endpoint: FakeEndpoint, batch: Any) -> None:
    egress = json.dumps({"allowed_hosts": ["127.0.0.1"]})
    process = await start(EGRESS=egress)
    assert process.stderr is not None
    port = json.loads(await process.stderr.readline())["port"]
    channel = connect(Target(f"127.0.0.1:{port}"))
    stub = inference_pb2_grpc.InferenceServiceStub(channel)
    endpoint.script(Fault.hang())
    call = stub.BatchGenerate(batch(1), timeout=30)
    reading = asyncio.ensure_future(call.read())
    await asyncio.to_thread(endpoint.wait_for_calls, 1)

    process.send_signal(signal.SIGTERM)
    endpoint.release()
    line = await reading
    assert isinstance(line, pb.BatchGenerateResponse)
    assert line.reply.text == "Paris, question 0."
    await channel.close()
    assert await asyncio.wait_for(process.wait(), 20) == 0
    log = (await process.stderr.read()).decode()
    assert "stopped" in log
    assert "question 0" not in log
    assert "Paris" not in log


async def test_bad_settings_are_named_by_their_variables() -> None:
    process = await start(HOST="0.0.0.0", PORT="99999", EGRESS='{"allowed_hosts": ["http://a"]}')
    _, text = await process.communicate()
    assert process.returncode == 78
    errors = text.decode()
    assert "CANDOR_INFERENCE_PORT: " in errors
    assert "CANDOR_INFERENCE_EGRESS__ALLOWED_HOSTS: " in errors
    assert "Traceback" not in errors

    process = await start(HOST="0.0.0.0")
    _, text = await process.communicate()
    assert process.returncode == 78
    assert "allow_plaintext" in text.decode()
