"""What one caller may ask: rates, sizes, calls under way."""

import contextlib
from contextlib import ExitStack

import pytest
from candor.grader.v1 import grader_pb2

from chassis.auth.callers import Caller, Limits
from chassis.auth.limits import Meter, items_of
from chassis.errors import CandorError, Reason


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def caller(name: str = "team", **limits: float) -> Caller:
    return Caller(name=name, scopes=frozenset(), limits=Limits.model_validate(limits) if limits else None)


def calls(meter: Meter, who: Caller, count: int, items: int = 1) -> int:
    """How many of `count` calls in a row are taken."""
    taken = 0
    for _ in range(count):
        with contextlib.suppress(CandorError), meter.call(who, items):
            taken += 1
    return taken


def test_calls_come_at_their_rate_after_one_second_s_worth() -> None:
    clock = Clock()
    meter, team = Meter(Limits(), clock), caller(calls_per_second=5)
    assert calls(meter, team, 20) == 5
    clock.now += 1
    assert calls(meter, team, 20) == 5
    clock.now += 1000
    assert calls(meter, team, 20) == 5


def test_the_error_says_how_long_to_wait_and_that_is_enough() -> None:
    clock = Clock()
    meter, team = Meter(Limits(), clock), caller(calls_per_second=0.5)
    assert calls(meter, team, 1) == 1
    with pytest.raises(CandorError) as caught, meter.call(team, 1):
        pass
    assert (caught.value.reason, caught.value.retryable) == (Reason.CALLER_LIMITED, True)
    assert "caller team may make 0.5 calls a second here; try again in 2 s" in str(caught.value)
    clock.now += float(caught.value.metadata["retry_after_seconds"])
    assert calls(meter, team, 2) == 1


def test_a_batch_larger_than_a_second_s_worth_is_taken_and_waited_for() -> None:
    clock = Clock()
    meter, team = Meter(Limits(), clock), caller(items_per_second=100)
    assert calls(meter, team, 3, items=1000) == 1
    clock.now += 9.9
    assert calls(meter, team, 1, items=1000) == 0
    clock.now += 0.1
    assert calls(meter, team, 3, items=1000) == 1


def test_calls_under_way_are_counted_until_they_end() -> None:
    meter, team = Meter(Limits()), caller(calls_in_flight=2)
    with ExitStack() as under_way:
        for _ in range(2):
            under_way.enter_context(meter.call(team, 1))
        assert calls(meter, team, 1) == 0
        assert calls(meter, caller("other", calls_in_flight=2), 1) == 1  # each caller has its own
    assert calls(meter, team, 5) == 5


def test_a_caller_without_limits_has_the_server_s_own() -> None:
    meter = Meter(Limits(calls_in_flight=1))
    with meter.call(caller(), 1):
        assert calls(meter, caller(), 1) == 0
        assert calls(meter, caller("vip", calls_per_second=9), 1) == 1


def test_items_are_the_entries_of_the_longest_list() -> None:
    request = grader_pb2.ScoreTextsRequest(texts=["a", "b", "c"], metrics=["sociot"])
    assert items_of(request) == 3
    assert items_of(grader_pb2.GetGraderInfoRequest()) == 1


def test_a_message_over_the_caller_s_size_is_refused_with_the_limit() -> None:
    meter = Meter(Limits())
    meter.size(caller(message_bytes=1000), 1000)
    with pytest.raises(CandorError, match="may send at most 100") as caught:
        meter.size(caller(message_bytes=100), 101)
    assert caught.value.reason is Reason.BATCH_TOO_LARGE


def test_a_caller_without_limits_takes_nothing_from_another_of_its_name() -> None:
    meter = Meter(Limits(calls_in_flight=1, calls_per_second=1))
    probe = Caller(name="", scopes=frozenset(), limits=Limits())
    with meter.call(probe, 1), meter.call(probe, 1):
        assert calls(meter, caller(""), 1) == 1


def test_names_that_come_and_go_are_forgotten_but_not_while_they_call() -> None:
    meter = Meter(Limits(calls_per_second=1))
    with meter.call(caller("stays", calls_in_flight=1), 1):
        for number in range(5000):
            calls(meter, caller(f"oidc:{number}"), 1)
        assert len(meter._accounts) <= 1024
        assert calls(meter, caller("stays", calls_in_flight=1), 1) == 0
