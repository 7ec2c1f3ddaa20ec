from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from candor_operator.pulse import Pulse
from candor_operator.settings import OperatorSettings
from candor_operator.standby import leaders, peering_path

NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pulse(clock: Clock) -> Pulse:
    return Pulse(clock, silence_seconds=150)


def test_a_watch_that_is_opened_again_and_again_lives(clock: Clock, pulse: Pulse) -> None:
    for _ in range(10):
        clock.now += 60
        pulse.opened("/evaluations")
        assert pulse.trouble() == ""


def test_a_watch_that_nobody_opens_any_more_is_dead(clock: Clock, pulse: Pulse) -> None:
    pulse.opened("/namespaces/a/evaluations")
    clock.now += 100
    pulse.opened("/namespaces/b/evaluations")
    assert pulse.trouble() == ""
    clock.now += 100
    assert "no watch of evaluations was opened for 200 s" in pulse.trouble()


def test_a_watch_that_was_never_opened_is_dead_after_a_while(clock: Clock, pulse: Pulse) -> None:
    assert pulse.trouble() == ""
    clock.now += 151
    assert pulse.trouble()


def test_a_watch_that_does_not_bring_back_what_was_written_is_dead(clock: Clock, pulse: Pulse) -> None:
    pulse.writes("a")
    pulse.writes("b")
    clock.now += 100
    pulse.opened("/evaluations")
    pulse.brought("b")
    pulse.writes("b")
    clock.now += 100
    assert "a change made 200 s ago has not come back" in pulse.trouble()
    pulse.brought("a")
    assert pulse.trouble() == ""


def test_a_write_that_changed_nothing_brings_nothing_and_one_before_it_still_has_to(clock: Clock, pulse: Pulse) -> None:
    pulse.wrote_nothing("a", pulse.writes("a"))
    clock.now += 149
    pulse.opened("/evaluations")
    pulse.writes("b")
    clock.now += 10
    pulse.wrote_nothing("b", pulse.writes("b"))
    assert pulse.trouble() == ""
    clock.now += 141
    pulse.opened("/evaluations")
    assert "a change made 151 s ago has not come back" in pulse.trouble()


def test_one_gives_way_to_who_lives_and_is_not_below() -> None:
    def peer(priority: int, seconds_ago: int) -> dict[str, object]:
        seen = NOW - timedelta(seconds=seconds_ago)
        return {"priority": priority, "lifetime": 30, "lastseen": seen.isoformat()}

    status = {"me": peer(5, 0), "below": peer(4, 0), "dead": peer(9, 31), "above": peer(6, 10), "equal": peer(5, 10)}
    assert list(leaders({"status": status}, "me", 5, NOW)) == ["above", "equal"]
    assert list(leaders({}, "me", 5, NOW)) == []


def test_peers_meet_in_the_cluster_or_in_a_namespace() -> None:
    assert peering_path("operator", None).endswith("/clusterkopfpeerings/operator")
    assert peering_path("operator", "candor").endswith("/namespaces/candor/kopfpeerings/operator")


def test_settings_say_where_to_look(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("candor_operator.settings._OWN_NAMESPACE", tmp_path / "namespace")
    with pytest.raises(ValidationError, match="set namespaces or cluster_wide"):
        OperatorSettings(target="orchestrator:50051")
    (tmp_path / "namespace").write_text("candor\n", encoding="utf-8")
    assert OperatorSettings(target="orchestrator:50051").namespaces == ("candor",)
    assert OperatorSettings(target="orchestrator:50051", cluster_wide=True).namespaces == ()
    with pytest.raises(ValidationError, match="exclude each other"):
        OperatorSettings(target="orchestrator:50051", cluster_wide=True, namespaces=("a",))


def test_replicas_draw_lots() -> None:
    drawn = [OperatorSettings(target="o:1", namespaces=("a",)) for _ in range(3)]
    assert len({each.peering_priority for each in drawn}) == 3
    assert len({each.identity for each in drawn}) == 3
