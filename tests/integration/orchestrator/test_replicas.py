"""Two replicas on one Postgres: any of them answers, and a dead one's runs are taken over."""

import hashlib
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from candor.orchestrator.v1 import evaluation_pb2, orchestrator_pb2

from chassis.testing.fake_endpoint import FakeEndpoint, Fault

Document = Callable[..., evaluation_pb2.EvaluationSpec]
Start = Callable[..., Awaitable[Any]]


async def test_a_killed_replicas_run_is_adopted_and_either_replica_tells_of_it(
    tmp_path: Path,
    start_process: Start,
    open_client: Callable[[str], Any],
    database_url: str,
    document: Document,
    questions: Callable[[int], bytes],
    endpoint: FakeEndpoint,
) -> None:
    held = {"now": True}  # so that the run is still under way, however long the second replica takes to start
    endpoint.fault = lambda call: Fault.hang() if held["now"] and call.number > 100 else Fault.delay(0.03)
    data = questions(80)
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    spec = document(digest, gate=evaluation_pb2.Gate(stopping="fixed"))
    first = await start_process(str(tmp_path), database_url, "replica-1")
    one = open_client(first.address)
    await one.upload(data, digest)
    started = await one.create(spec)
    await one.until(started.name, lambda event: event.progress.responses_done >= 30)
    second = await start_process(str(tmp_path), database_url, "replica-2")
    two = open_client(second.address)
    assert (await two.create(spec)).name == started.name, "it is running: nothing new is started"
    first.kill()
    killed = time.time()
    held["now"] = False
    old = {(call.model, call.digest, call.seed) for call in endpoint.calls if 0 < call.answered < killed - 1.0}

    done = await two.finish(started.name)
    assert done.state == "SUCCEEDED"
    counts = Counter(
        (call.model, call.digest, call.seed) for call in endpoint.calls if "number" in call.messages[-1][1]
    )
    assert not {key for key, count in counts.items() if count > 1} & old
    numbers = [event.sequence async for event in two.watch(started.name)]
    assert numbers == list(range(1, len(numbers) + 1))


async def test_a_run_is_cancelled_through_the_other_replica(
    tmp_path: Path,
    start_process: Start,
    open_client: Callable[[str], Any],
    database_url: str,
    document: Document,
    questions: Callable[[int], bytes],
    endpoint: FakeEndpoint,
) -> None:
    data = questions(20)
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    first = await start_process(str(tmp_path), database_url, "replica-1")
    one = open_client(first.address)
    await one.upload(data, digest)
    endpoint.fault = lambda call: Fault.hang() if "number" in call.text else None
    started = await one.create(document(digest))
    endpoint.wait_for_calls(4)
    second = await start_process(str(tmp_path), database_url, "replica-2")
    two = open_client(second.address)
    await two.call("CancelEvaluation", orchestrator_pb2.CancelEvaluationRequest(name=started.name))
    done = await two.finish(started.name)
    assert done.state == "CANCELLED"
    endpoint.release()
