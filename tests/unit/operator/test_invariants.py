"""Whatever happens in whatever order: crashes around every call and write, changes, deletion, trouble at the orchestrator."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from candor_operator.cluster import NotWritten
from candor_operator.domain.deciding import settled
from candor_operator.domain.resource import read_resource
from candor_operator.domain.status import size
from candor_operator.reconciler import Unstopped
from chassis.errors import CandorError, Reason

from .conftest import CLOSED, Crashed, World

_REASONS = (
    Reason.SERVICE_UNAVAILABLE,
    Reason.BAD_DOCUMENT,
    Reason.BAD_DATASET,
    Reason.MODEL_NOT_FOUND,
    Reason.DEADLINE_EXCEEDED,
    Reason.CALLER_UNAUTHENTICATED,
)
_HAPPENINGS = st.one_of(
    st.just("step"),
    st.just("step"),
    st.just("restart"),
    st.just("crash after the call"),
    st.just("write refused"),
    st.just("wait a day"),
    st.just("conclude"),
    st.just("fail"),
    st.just("well again"),
    st.tuples(st.just("trouble"), st.sampled_from(_REASONS), st.text(max_size=3000)),
    st.tuples(st.just("repeats"), st.integers(1, 3)),
    st.tuples(st.just("schedule"), st.sampled_from(["", "@daily", "0 2 * * *", "often"])),
    st.tuples(st.just("history_limit"), st.integers(0, 5)),
)


async def _happens(world: World, wanted: dict[str, object], happening: object) -> None:
    match happening:
        case "step":
            with suppress(Crashed, NotWritten):
                await world.step()
        case "restart":
            world.restart()
        case "crash after the call":
            world.orchestrator.crash = True
            with suppress(Crashed, NotWritten):
                await world.step()
            world.orchestrator.crash = False
            world.restart()
        case "write refused":
            world.refuse_write = True
        case "wait a day":
            world.now += timedelta(days=1)
        case "conclude" | "fail":
            _ends(world, happening)
        case "well again":
            world.orchestrator.trouble = None
        case ("trouble", Reason() as reason, str(text)):
            world.orchestrator.trouble = CandorError(reason, text)
        case (str(name), value):
            wanted[name] = value
            world.change(**wanted)


def _ends(world: World, how: str) -> None:
    if not world.orchestrator.evaluations or world.orchestrator.last().state in CLOSED:
        return
    if how == "conclude":
        world.orchestrator.conclude(at=world.now)
    else:
        world.orchestrator.fail(Reason.ENDPOINT_UNAVAILABLE)


def _hold(world: World) -> None:
    asked = Counter(world.started)
    assert not [each for each, times in asked.items() if times > 1], "a request id has one evaluation"
    assert sum(each.state not in CLOSED for each in world.orchestrator.evaluations.values()) <= 1, "one runs at a time"
    status = world.body.get("status", {})
    assert size(status) <= 2000
    resource, now = read_resource(world.body), world.now
    once = settled(resource, world.status, now)
    assert settled(resource, once, now) == once
    history = world.status.history
    assert len({each.evaluation for each in history}) == len(history)
    assert len(history) <= 5


@settings(max_examples=100, deadline=None)
@given(st.lists(_HAPPENINGS, max_size=40))
def test_in_any_order_no_evaluation_is_doubled_or_left_behind(happenings: list[object]) -> None:
    async def run() -> None:
        world, wanted = World(), {}
        world.create()
        for happening in happenings:
            await _happens(world, wanted, happening)
            _hold(world)
        await _comes_to_rest(world)
        await _is_deleted(world)

    asyncio.run(run())


async def _comes_to_rest(world: World) -> None:
    """All well again, the resource comes to what its spec asks for."""
    world.orchestrator.trouble, world.refuse_write = None, False
    for _ in range(80):
        with suppress(NotWritten):
            await world.step()
        _hold(world)
    status = world.status
    assert status.observed_generation == world.body["metadata"]["generation"]
    assert status.phase in ("Running", "Scheduled", "Done", "Refused")
    if status.phase == "Running":
        assert world.orchestrator.evaluations[status.evaluation].state == "PENDING"


async def _is_deleted(world: World) -> None:
    world.restart()
    with suppress(Unstopped):
        await world.reconciler.stop(world.body)
    assert all(each.state in CLOSED for each in world.orchestrator.evaluations.values()), "nothing is left running"
