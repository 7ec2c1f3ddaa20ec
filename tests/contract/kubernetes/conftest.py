"""The fake API server, and a real one where CANDOR_TEST_KUBECONFIG names its kubeconfig."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from chassis.testing.fake_kubernetes import Client, FakeKubernetes, Hands

KUBECONFIG = os.environ.get("CANDOR_TEST_KUBECONFIG", "")


@pytest.fixture
def fake() -> Iterator[FakeKubernetes]:
    with FakeKubernetes() as cluster:
        yield cluster


@pytest.fixture
def faked(fake: FakeKubernetes) -> Iterator[Hands]:
    """A namespace of the fake alone: what is done to it cannot be done to a real server."""
    made = Hands(Client.of_url(fake.url), "candor")
    made.ready()
    yield made
    made.client.http.close()


@pytest.fixture(params=["fake", "real"])
def hands(request: pytest.FixtureRequest) -> Iterator[Hands]:
    """A namespace of the test's own, which is deleted after it."""
    if request.param == "real" and not KUBECONFIG:
        pytest.skip("not run against a real API server: CANDOR_TEST_KUBECONFIG names none")
    client = (
        Client.of_kubeconfig(Path(KUBECONFIG))
        if request.param == "real"
        else Client.of_url(request.getfixturevalue("fake").url)
    )
    made = Hands(client, f"candor-contract-{secrets.token_hex(4)}")
    made.ready()
    yield made
    client.delete(f"/api/v1/namespaces/{made.namespace}")
    client.http.close()
