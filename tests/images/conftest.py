"""Images that are really built, and pods made from rendered templates. Skipped with the reason where podman cannot be used."""

import fcntl
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tools.containers.images import ROOT, build, unusable
from tools.containers.images import image as name_of
from tools.containers.objects import Objects
from tools.containers.podman import Podman
from tools.containers.pods import Network

Image = Callable[[str], str]
_SECONDS = 1500  # the first test of an image waits until it is built


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.timeout(_SECONDS))


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder that all workers of a session share."""
    base = tmp_path_factory.getbasetemp()
    return base if worker_id == "master" else base.parent


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    with (folder / "images.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def podman(shared: Path) -> Podman:
    found = Podman()
    with locked(shared):
        why = unusable(found)
    if why:
        pytest.skip(f"images were not built and started: {why}")
    return found


@pytest.fixture(scope="session")
def image(podman: Podman, shared: Path) -> Image:
    """A target's image by its name, built once for all workers."""

    def built(target: str) -> str:
        done = shared / f"image-{target}"
        with locked(shared):
            if not done.exists():
                build(podman, target)
                done.touch()
        return name_of(target)

    return built


@pytest.fixture
def objects() -> Objects:
    """What the overlay for machines without GPUs is rendered to."""
    if shutil.which("kubectl") is None:
        pytest.skip("pods were not started from rendered manifests: kubectl is not installed")
    return Objects.render(ROOT / "deploy" / "k8s" / "overlays" / "cpu-only")


@pytest.fixture
def network(podman: Podman, image: Image) -> Iterator[Network]:
    """A network for pods, which ends with them."""
    network = Network(podman, f"candor-{uuid.uuid4().hex[:8]}", image)
    network.open()
    try:
        yield network
    finally:
        network.close()
