"""A service as a process: bad settings, a taken port, and an orderly end."""

import os
import signal
from collections.abc import Callable

import pytest
import structlog
from pydantic_settings import SettingsConfigDict

from chassis.egress import Egress
from chassis.errors import CandorError, Reason
from chassis.process import run_service
from chassis.serving import Service
from chassis.settings import ServerSettings


class Settings(ServerSettings):
    model_config = SettingsConfigDict(env_prefix="CANDOR_TEST_", env_nested_delimiter="__")

    listed: tuple[str, ...] = ()
    egress: Egress = Egress()


@pytest.fixture(autouse=True)
def _logs_as_before() -> object:
    yield
    structlog.reset_defaults()


def test_a_signal_ends_it_in_order(service: Callable[..., Service], capsys: pytest.CaptureFixture[str]) -> None:
    async def told_to_go() -> bool:
        os.kill(os.getpid(), signal.SIGTERM)
        return True

    assert run_service(Settings, lambda _settings: service(ready=told_to_go)) == 0
    log = capsys.readouterr().err
    assert "serving" in log
    assert "stopped" in log


def test_every_bad_setting_is_named_by_its_variable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CANDOR_TEST_PORT", "many")
    monkeypatch.setenv("CANDOR_TEST_TOKEN_SHA256", "secret-token")

    def build(_settings: Settings) -> Service:
        raise AssertionError("built with bad settings")

    assert run_service(Settings, build) == 78
    said = capsys.readouterr().err
    assert "CANDOR_TEST_PORT: " in said
    assert "CANDOR_TEST_TOKEN_SHA256: " in said
    assert "secret-token" not in said


@pytest.mark.parametrize("name", ["CANDOR_TEST_LISTED", "CANDOR_TEST_EGRESS__ALLOWED_HOSTS"])
def test_a_list_that_is_no_json_is_named_by_its_variable(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, "llm:8000")

    def build(_settings: Settings) -> Service:
        raise AssertionError("built with bad settings")

    assert run_service(Settings, build) == 78
    said = capsys.readouterr().err
    assert said.startswith(f"{name}: must be JSON")
    assert "llm:8000" not in said


def test_what_keeps_it_from_starting_is_said_in_a_sentence(
    service: Callable[..., Service], capsys: pytest.CaptureFixture[str]
) -> None:
    def build(_settings: Settings) -> Service:
        raise CandorError(Reason.LEDGER_LOCKED, "the ledger is in use by another process")

    assert run_service(Settings, build) == 75
    assert capsys.readouterr().err == "the ledger is in use by another process\n"
