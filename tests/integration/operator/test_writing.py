"""What the operator writes: onto the object that it has read, and onto no other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import aiohttp
import kopf
import pytest

from candor_operator.cluster import Cluster, NotWritten
from candor_operator.pulse import Pulse

Spec = Callable[..., dict[str, Any]]


class Life(Pulse):
    """The pulse, with the time in the hands of the test."""

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__(lambda: self.now, silence_seconds=150)

    def trouble_later(self) -> str:
        self.now += 151
        self.opened("/evaluations")
        return self.trouble()


@pytest.fixture
def pulse() -> Life:
    return Life()


@pytest.fixture
async def logged_in(namespace: Any, pulse: Life, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("KUBECONFIG", str(namespace.kubeconfig))
    cluster = Cluster(pulse)
    session = cluster.log_in(kopf.OperatorSettings()).aiohttp_session
    yield cluster, session
    await session.close()


@pytest.fixture
def cluster(logged_in: tuple[Cluster, aiohttp.ClientSession]) -> Cluster:
    return logged_in[0]


@pytest.fixture
def session(logged_in: tuple[Cluster, aiohttp.ClientSession]) -> aiohttp.ClientSession:
    return logged_in[1]


async def test_a_status_is_written_once_by_who_has_read_the_object_as_it_is(
    namespace: Any, cluster: Cluster, spec: Spec
) -> None:
    read = namespace.create(spec())
    written = await cluster.write_status(read, {"phase": "Starting"})
    assert written["status"] == {"phase": "Starting"}
    with pytest.raises(NotWritten, match=r"409 .*the object has been modified"):
        await cluster.write_status(read, {"phase": "Cancelled"})
    changed = namespace.change({"repeats": 2})
    with pytest.raises(NotWritten, match="409"):
        await cluster.write_status(written, {"phase": "Running"})
    await cluster.write_status(changed, {"phase": "Running"})
    assert namespace.get()["status"] == {"phase": "Running"}


async def test_another_object_under_the_same_name_is_left_alone(namespace: Any, cluster: Cluster, spec: Spec) -> None:
    read = namespace.create(spec())
    namespace.delete()
    namespace.create(spec())
    with pytest.raises(NotWritten, match="409"):
        await cluster.write_status(read, {"phase": "Running"})
    assert "status" not in namespace.get()


async def test_a_change_that_the_watch_brings_before_the_answer_is_not_waited_for(
    namespace: Any, cluster: Cluster, session: aiohttp.ClientSession, pulse: Life, spec: Spec
) -> None:
    read = namespace.create(spec())

    async def watch_is_faster(*_: object) -> None:
        pulse.brought(read["metadata"]["uid"])

    trace = aiohttp.TraceConfig()
    trace.on_request_end.append(watch_is_faster)
    trace.freeze()
    session.trace_configs.append(trace)
    await cluster.write_status(read, {"phase": "Running"})
    assert pulse.trouble_later() == ""


async def test_only_a_change_has_to_come_back_through_the_watch(
    namespace: Any, cluster: Cluster, pulse: Life, spec: Spec
) -> None:
    read = namespace.create(spec())
    written = await cluster.write_status(read, {"phase": "Running"})
    pulse.brought(read["metadata"]["uid"])
    await cluster.write_status(written, {"phase": "Running"})
    with pytest.raises(NotWritten):
        await cluster.write_status(read, {"phase": "Done"})
    assert pulse.trouble_later() == ""
    await cluster.write_status(written, {"phase": "Done"})
    assert "has not come back" in pulse.trouble_later()
