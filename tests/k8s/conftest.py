from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tools.manifests.objects import Object
from tools.manifests.render import K8S, compose, kubectl, render

OVERLAYS = sorted(path.parent.name for path in (K8S / "overlays").glob("*/kustomization.yaml"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "overlay" in metafunc.fixturenames:
        metafunc.parametrize("overlay", OVERLAYS)


@pytest.fixture(scope="session", autouse=True)
def _kubectl() -> None:
    if kubectl() is None:
        pytest.skip("no kubectl of 1.30 or newer here (make setup fetches one): no manifest was rendered or checked")


@pytest.fixture(scope="session")
def rendered() -> Callable[[str], list[Object]]:
    """Renders an overlay, once."""

    @cache
    def objects(overlay: str) -> list[Object]:
        return render(Path(K8S / "overlays" / overlay))

    return objects


@pytest.fixture(scope="session")
def composed() -> Callable[[tuple[str, ...]], list[Object]]:
    """Renders the base with components, once."""
    return cache(compose)
