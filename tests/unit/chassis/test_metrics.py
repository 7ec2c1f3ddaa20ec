"""What a queue says while work is done, given up or fails."""

import contextlib

from chassis.errors import Reason
from chassis.metrics import Metrics


def _depth(metrics: Metrics, queue: str = "grade") -> float | None:
    return metrics.registry.get_sample_value("candor_queue_depth", {"queue": queue})


def test_a_queue_holds_what_was_accepted_and_is_not_finished() -> None:
    metrics = Metrics("test")
    with metrics.accepted("grade", 3) as finished:
        assert _depth(metrics) == 3
        finished()
        assert _depth(metrics) == 2
    assert _depth(metrics) == 0


def test_what_fails_is_no_longer_in_the_queue() -> None:
    metrics = Metrics("test")
    with contextlib.suppress(ValueError), metrics.accepted("grade", 5) as finished:
        finished()
        raise ValueError
    assert _depth(metrics) == 0


def test_retries_and_waits_are_told_by_their_cause() -> None:
    metrics = Metrics("test")
    metrics.retried(Reason.RATE_LIMITED)
    metrics.waits(1)
    assert metrics.registry.get_sample_value("candor_retries_total", {"cause": "RATE_LIMITED"}) == 1
    assert _depth(metrics, "endpoint_turns") == 1


def test_a_free_port_is_told() -> None:
    metrics = Metrics("test")
    server, thread = metrics.expose("127.0.0.1", 0)
    try:
        assert metrics.address == f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
