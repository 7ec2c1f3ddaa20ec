from datetime import UTC, datetime

import pytest

from candor_operator.domain.times import Schedule, read_time, written
from chassis.errors import CandorError

NOON = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)


def test_a_schedule_is_told_in_its_zone() -> None:
    schedule = Schedule("0 2 * * *", "Europe/Berlin")
    assert schedule.after(NOON) == datetime(2026, 11, 29, 1, 0, tzinfo=UTC)
    assert schedule.last(NOON) == datetime(2026, 11, 28, 1, 0, tzinfo=UTC)
    assert schedule.after(datetime(2026, 7, 1, 12, 0, tzinfo=UTC)) == datetime(2026, 7, 2, 0, 0, tzinfo=UTC)


def test_an_hour_that_the_summer_skips_is_made_up_for() -> None:
    assert Schedule("30 2 * * *", "Europe/Berlin").after(datetime(2026, 3, 28, 12, 0, tzinfo=UTC)) == datetime(
        2026, 3, 29, 1, 0, tzinfo=UTC
    )


def test_a_time_that_has_come_is_the_last_and_not_the_next() -> None:
    schedule = Schedule("0 12 * * *", "UTC")
    assert schedule.last(NOON) == NOON
    assert schedule.after(NOON) == datetime(2026, 11, 29, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("line", "zone", "field"),
    [
        ("0 2 * *", "UTC", "schedule"),
        ("0 2 * * * *", "UTC", "schedule"),
        ("@reboot", "UTC", "schedule"),
        ("@daily", "Mars/Base", "time_zone"),
        ("@daily", "../etc/passwd", "time_zone"),
        ("99 2 * * *", "UTC", "schedule"),
        ("R 2 * * *", "UTC", "schedule"),
        ("H 2 * * *", "UTC", "schedule"),
        ("0 r/5 * * *", "UTC", "schedule"),
        ("R(0-30) 2 * * *", "UTC", "schedule"),
    ],
)
def test_what_means_nothing_is_named(line: str, zone: str, field: str) -> None:
    with pytest.raises(CandorError) as caught:
        Schedule(line, zone)
    assert [violation.field for violation in caught.value.violations] == [field]


def test_a_time_that_is_drawn_by_lot_is_refused_with_the_mend() -> None:
    with pytest.raises(CandorError) as caught:
        Schedule("R 2 * * *", "UTC")
    assert "R and H are times drawn by lot: write the time" in str(caught.value.violations[0])
    assert Schedule("0 2 * MAR FRI", "UTC").after(NOON).month == 3


def test_a_time_that_never_comes_is_named() -> None:
    with pytest.raises(CandorError, match="never comes"):
        Schedule("0 0 30 2 *", "UTC").after(NOON)


def test_times_are_written_as_kubernetes_writes_them() -> None:
    assert written(NOON) == "2026-11-28T12:00:00Z"
    assert read_time("2026-11-28T12:00:00Z") == NOON
