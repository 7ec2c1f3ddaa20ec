"""One tiny checkpoint, and adapters of it, for all tests of this folder."""

import importlib.util
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from chassis.egress import Egress, Guard
from chassis.metrics import Metrics
from chassis.testing.tiny_checkpoint import make_tiny_adapter, make_tiny_checkpoint
from services.inference.backends.vllm import EngineOptions, VllmBackend
from services.inference.settings import InferenceSettings


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch = pytest.importorskip("torch", reason="the transformers backend was not tested: torch is not installed")
    torch.set_num_threads(1)
    return make_tiny_checkpoint(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def adapters(checkpoint: Path) -> list[Path]:
    """Three living adapters."""
    pytest.importorskip("peft", reason="adapters were not tested: peft is not installed")
    return [make_tiny_adapter(checkpoint, checkpoint.parent / f"adapter-{seed}", seed=seed) for seed in range(3)]


@pytest.fixture(scope="session")
def zero_adapter(checkpoint: Path) -> Path:
    """An adapter whose B is zero: it has every module and changes nothing."""
    pytest.importorskip("peft", reason="adapters were not tested: peft is not installed")
    return make_tiny_adapter(checkpoint, checkpoint.parent / "adapter-zero", alive=False)


@pytest.fixture(scope="session")
def misnamed_adapter(adapters: list[Path]) -> Path:
    """An adapter whose tensors are called what no module of the base is called."""
    return renamed(adapters[0], "_proj", "_projection")


def renamed(adapter: Path, old: str, new: str) -> Path:
    """A copy of an adapter with other tensor names."""
    from safetensors.torch import load_file, save_file

    folder = Path(shutil.copytree(adapter, adapter.parent / f"{adapter.name}-misnamed"))
    file = folder / "adapter_model.safetensors"
    save_file({name.replace(old, new): tensor for name, tensor in load_file(file).items()}, file)
    return folder


@dataclass(frozen=True, slots=True)
class Wide:
    """A base whose heads are as wide as vLLM's CPU kernels want, and adapters of it: living, of zeros, misnamed."""

    base: Path
    adapters: list[Path]
    zero: Path
    misnamed: Path
    renamed: Path


@pytest.fixture(scope="session")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Wide:
    pytest.importorskip("peft", reason="adapters were not tested: peft is not installed")
    root = tmp_path_factory.mktemp("wide")
    base = make_tiny_checkpoint(root / "wide", hidden=128)
    adapters = [make_tiny_adapter(base, root / f"adapter-{seed}", seed=seed) for seed in range(3)]
    zero = make_tiny_adapter(base, root / "adapter-zero", alive=False)
    # The outer name is wrong and every module's own name right: what engines pass over without a word.
    misnamed = renamed(adapters[0], "base_model.model.model.", "base_model.model.backbone.")
    return Wide(base, adapters, zero, misnamed, renamed(adapters[1], "_proj", "_projection"))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def vllm_backend(wide: Wide) -> AsyncIterator[VllmBackend]:
    """The real engine, started once; tests that use it run on the session's event loop."""
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("the real vLLM engine was not tested: it is not installed (make setup-vllm)")
    settings = InferenceSettings(checkpoint_backend="vllm", precision="float32", max_adapters=2, max_concurrency=32)
    options = EngineOptions(
        **settings.vllm.model_dump(), precision="float32", max_adapters=2, max_concurrency=settings.max_concurrency
    )
    backend = VllmBackend(Guard(Egress(artifact_roots=(wide.base.parent,))), options, Metrics("test"))
    yield backend
    await backend.close()
