"""What the images hold: pins that are enough for what their builds import, and what a CUDA build of torch wants beside them."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
DOCKER = ROOT / "deploy" / "docker"
IMPORTED = dict(re.findall(r'^ +(\w+)\) finish \S+ "(.*)" ;;$', (DOCKER / "install.sh").read_text(), re.MULTILINE))


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize(("file", "needed"), [("services", "huggingface_hub"), ("local", "torch")])
def test_what_a_build_imports_is_pinned(file: str, needed: str) -> None:
    pins = {normal(line.partition("==")[0]) for line in (ROOT / "requirements" / f"{file}.txt").read_text().split()}
    modules = IMPORTED[file].split(", ")
    providers = packages_distributions()

    assert needed in modules
    assert [each for each in modules if not pins & {normal(name) for name in providers[each.partition(".")[0]]}] == []


@pytest.mark.parametrize(
    ("requires", "lacking"),
    [
        (["grpcio", "cuda-toolkit[cudart]==13.0.3; platform_system == 'Linux'"], ["cuda-toolkit[cudart]==13.0.3"]),
        (["nvidia-nccl==2.29.7; platform_system == 'Plan9'", "opt-absent; extra == 'all'"], []),
        (["setuptools>=999", "pyyaml"], []),
    ],
)
def test_what_a_package_wants_and_is_not_there_is_said(tmp_path: Path, requires: list[str], lacking: list[str]) -> None:
    record = tmp_path / "some_torch-2.0.dist-info" / "METADATA"
    record.parent.mkdir()
    lines = [
        "Metadata-Version: 2.4",
        "Name: some-torch",
        "Version: 2.0",
        *(f"Requires-Dist: {each}" for each in requires),
    ]
    record.write_text("\n".join(lines) + "\n")

    script = [sys.executable, str(DOCKER / "lacking.py"), "some-torch"]
    found = subprocess.run(script, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=True)

    assert [line.partition(";")[0] for line in found.stdout.splitlines()] == lacking
