"""Traces of the command line."""

import pytest

from candor_cli.traces import VARIABLE, traced, tracing
from chassis.errors import CandorError, Reason
from chassis.tracing import traceparent


def test_a_collector_that_is_no_url_is_named_with_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "collector:4317")
    with pytest.raises(CandorError, match="CANDOR_TRACING_ENDPOINT must be") as caught:
        tracing()
    assert caught.value.reason is Reason.INVALID_REQUEST


async def test_without_a_collector_nothing_is_traced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    async with traced():
        assert not traceparent.get()
