"""An endpoint that is gone, told from a request that failed."""

import pytest

from chassis.errors import CandorError, Reason
from chassis.llm.circuit import Circuit, EndpointDownError

GONE = CandorError(Reason.ENDPOINT_UNAVAILABLE, "connection refused")


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def circuit(clock: Clock) -> Circuit:
    return Circuit(failures=3, seconds=30.0, pause_seconds=2.0, clock=clock)


def test_it_opens_after_enough_failures_over_enough_time(circuit: Circuit, clock: Clock) -> None:
    for _ in range(10):
        circuit.failed(GONE, clock.now)  # many at once, as when a server restarts: patience
    clock.now += 29
    circuit.failed(GONE, clock.now)
    clock.now += 1
    with pytest.raises(EndpointDownError, match=r"12 in a row.*connection refused") as caught:
        circuit.failed(GONE, clock.now)
    assert caught.value.reason is Reason.ENDPOINT_UNAVAILABLE
    with pytest.raises(EndpointDownError):
        circuit.check()


def test_one_success_starts_the_count_again(circuit: Circuit, clock: Clock) -> None:
    circuit.failed(GONE, clock.now)
    circuit.failed(GONE, clock.now)
    clock.now += 60
    circuit.answered()
    for _ in range(5):
        circuit.failed(GONE, 100.0)  # asked before that success: its silence is not older than the success
    circuit.check()


@pytest.mark.parametrize("reason", [Reason.RATE_LIMITED, Reason.BAD_REPLY, Reason.EMPTY_REPLY, Reason.CONTEXT_TOO_LONG])
def test_an_endpoint_that_refuses_is_not_gone(circuit: Circuit, clock: Clock, reason: Reason) -> None:
    for _ in range(50):
        clock.now += 10
        circuit.failed(GONE, clock.now)
        circuit.failed(GONE, clock.now)
        circuit.failed(CandorError(reason, "no"), clock.now)
    circuit.check()


@pytest.mark.parametrize("reason", [Reason.ENDPOINT_UNAUTHENTICATED, Reason.MODEL_NOT_FOUND])
def test_a_refused_key_or_model_needs_no_patience(circuit: Circuit, clock: Clock, reason: Reason) -> None:
    circuit.failed(CandorError(reason, "no"), clock.now)
    circuit.failed(CandorError(reason, "no"), clock.now)
    with pytest.raises(EndpointDownError) as caught:
        circuit.failed(CandorError(reason, "no"), clock.now)
    assert caught.value.reason is reason


def test_a_spent_quota_is_about_every_call(circuit: Circuit, clock: Clock) -> None:
    spent = CandorError(Reason.RATE_LIMITED, "the quota is used up", metadata={"lasting": "true"})
    circuit.failed(spent, clock.now)
    circuit.failed(spent, clock.now)
    with pytest.raises(EndpointDownError) as caught:
        circuit.failed(spent, clock.now)
    assert caught.value.reason is Reason.RATE_LIMITED


def test_while_open_one_call_in_a_while_may_try_and_a_success_closes_it(circuit: Circuit, clock: Clock) -> None:
    for _ in range(2):
        circuit.failed(GONE, clock.now)
    clock.now += 31
    with pytest.raises(EndpointDownError):
        circuit.failed(GONE, clock.now)

    clock.now += 2
    circuit.check()  # this one tries
    with pytest.raises(EndpointDownError):
        circuit.check()  # the next does not
    circuit.answered()
    circuit.check()
