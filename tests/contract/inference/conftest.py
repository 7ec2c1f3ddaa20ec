"""One tiny checkpoint, and adapters of it, for all tests of this folder."""

from pathlib import Path

import pytest

from chassis.testing.tiny_checkpoint import make_tiny_adapter, make_tiny_checkpoint


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
    import shutil

    from safetensors.torch import load_file, save_file

    folder = Path(shutil.copytree(adapters[0], adapters[0].parent / "adapter-misnamed"))
    file = folder / "adapter_model.safetensors"
    tensors = {name.replace("_proj", "_projection"): tensor for name, tensor in load_file(file).items()}
    save_file(tensors, file)
    return folder
