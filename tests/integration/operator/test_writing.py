"""What the operator writes: onto the object that it has read, and onto no other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import kopf
import pytest

from candor_operator.cluster import Cluster, NotWritten
from candor_operator.pulse import Pulse

Spec = Callable[..., dict[str, Any]]


@pytest.fixture
async def cluster(namespace: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("KUBECONFIG", str(namespace.kubeconfig))
    found = Cluster(Pulse(lambda: 0.0, silence_seconds=150))
    session = found.log_in(kopf.OperatorSettings())
    yield found
    await session.aiohttp_session.close()


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
