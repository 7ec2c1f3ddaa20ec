"""One tiny checkpoint for all tests of this folder."""

from pathlib import Path

import pytest

from chassis.testing.tiny_checkpoint import make_tiny_checkpoint


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch = pytest.importorskip("torch", reason="the transformers backend was not tested: torch is not installed")
    torch.set_num_threads(1)
    return make_tiny_checkpoint(tmp_path_factory.mktemp("models") / "tiny")
