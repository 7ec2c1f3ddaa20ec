"""How long to wait before asking again."""

from datetime import UTC, datetime

import pytest

from chassis.llm.waiting import Backoff, asked_wait_seconds, retry_after_seconds

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("0.25", 0.25),
        ("Tue, 24 Nov 2026 12:01:30 GMT", 90.0),
        ("Tue, 24 Nov 2026 12:01:30 -0000", 90.0),
        ("Tue, 24 Nov 2026 11:00:00 GMT", 0.0),
        ("-5", 0.0),
        ("inf", 0.0),
        ("nan", 0.0),
        ("soon", 0.0),
        ("", 0.0),
        (None, 0.0),
    ],
)
def test_retry_after_is_read_as_seconds_or_date(value: str | None, seconds: float) -> None:
    assert retry_after_seconds(value, lambda: NOW) == seconds


def test_the_finer_header_comes_first() -> None:
    assert asked_wait_seconds({"retry-after-ms": "250", "retry-after": "1"}) == 0.25
    assert asked_wait_seconds({"retry-after": "1"}) == 1
    assert asked_wait_seconds({}) == 0


def test_waits_double_up_to_the_longest_and_are_spread() -> None:
    backoff = Backoff(first_seconds=1.0, longest_seconds=5.0)
    assert [backoff.wait(attempt, lambda: 1.0) for attempt in (1, 2, 3, 4, 400)] == [1, 2, 4, 5, 5]
    assert backoff.wait(3, lambda: 0.0) == 2
