"""`kill -9` at any moment: nothing is lost, and only what was in flight is paid for again."""

import hashlib
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from candor.orchestrator.v1 import evaluation_pb2

from chassis.testing.fake_endpoint import FakeEndpoint, Fault, LoggedCall

Document = Callable[..., evaluation_pb2.EvaluationSpec]
Start = Callable[..., Awaitable[Any]]
_CHANGING = ("evaluation", "created", "finished", "stage_seconds", "arms")


def _asked(endpoint: FakeEndpoint) -> list[LoggedCall]:
    return [call for call in endpoint.calls if "number" in call.messages[-1][1]]


def _lost(calls: list[LoggedCall], kills: list[float]) -> list[float]:
    """Of every call that was asked again: seconds from its answer to the kill that followed."""
    latest: dict[tuple[str, str], LoggedCall] = {}
    lost = []
    for call in calls:
        earlier = latest.get((call.model, call.digest))
        if earlier is not None and earlier.answered:
            lost.append(next(kill for kill in kills if kill > earlier.answered) - earlier.answered)
        latest[call.model, call.digest] = call
    return lost


def _verdict(evaluation: Any) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(evaluation.verdict_json)
    return {name: found for name, found in value.items() if name not in _CHANGING}


@pytest.mark.parametrize("moments", [(1,), (40, 150), (90, 91, 92)], ids=["early", "twice", "three times"])
async def test_the_same_command_goes_on_after_kill_9(
    tmp_path: Path,
    start_process: Start,
    open_client: Callable[[str], Any],
    document: Document,
    questions: Callable[[int], bytes],
    endpoint: FakeEndpoint,
    moments: tuple[int, ...],
) -> None:
    endpoint.fault = lambda call: Fault.delay(0.02)
    data = questions(60)
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    spec = document(digest, ("honest", "sycophant"), gate=evaluation_pb2.Gate(stopping="fixed"))
    kills: list[float] = []
    names = set()
    for moment in moments:
        process = await start_process(str(tmp_path))
        client = open_client(process.address)
        await client.upload(data, digest)
        started = await client.create(spec)
        names.add(started.name)
        await client.until(started.name, lambda event, wanted=moment: event.progress.responses_done >= wanted)
        process.kill()
        kills.append(time.time())
    process = await start_process(str(tmp_path))
    client = open_client(process.address)
    done = await client.evaluate(spec)
    names.add(done.name)
    assert len(names) == 1
    assert done.state == "SUCCEEDED"
    lost = _lost(_asked(endpoint), kills)
    assert max(lost, default=0.0) <= 1.0, "a call answered more than a second before the kill was asked again"

    whole = await client.evaluate(spec, resume="new")
    assert _verdict(whole) == _verdict(done)


async def test_two_documents_after_a_crash_do_not_spend_each_others_money(
    tmp_path: Path,
    start_process: Start,
    open_client: Callable[[str], Any],
    document: Document,
    questions: Callable[[int], bytes],
    endpoint: FakeEndpoint,
) -> None:
    endpoint.fault = lambda call: Fault.delay(0.02)
    data = questions(60)
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    first = document(digest, ("honest", "a"))
    second = document(digest, ("honest", "b"))
    process = await start_process(str(tmp_path))
    client = open_client(process.address)
    await client.upload(data, digest)
    started = await client.create(first)
    other = await client.create(second)
    for name in (started.name, other.name):
        await client.until(name, lambda event: event.progress.responses_done >= 10)
    process.kill()
    spent = Counter(call.model for call in _asked(endpoint))

    process = await start_process(str(tmp_path))
    client = open_client(process.address)
    done = await client.evaluate(second)
    assert (done.name, done.state) == (other.name, "SUCCEEDED")
    assert Counter(call.model for call in _asked(endpoint))["a"] == spent["a"]
    assert (await client.get(started.name)).state == "RUNNING"
    done = await client.evaluate(first)
    assert (done.name, done.state) == (started.name, "SUCCEEDED")
