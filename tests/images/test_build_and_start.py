"""Each image is built, and starts as a pod would start it: another user, nothing writable but /tmp."""

import json
from typing import Any

import pytest

_LOCKED = ("--read-only", "--read-only-tmpfs=false", "--user", "65532:65532", "--cap-drop=all")
_LOCKED_DOWN = (*_LOCKED, "--security-opt", "no-new-privileges", "--network", "none", "--tmpfs", "/tmp")
_TARGETS = ("cli", "grader", "operator", "orchestrator")


def run(podman: Any, image: str, *arguments: str, entrypoint: str = "") -> str:
    entry = ("--entrypoint", entrypoint) if entrypoint else ()
    return str(podman("run", "--rm", *_LOCKED_DOWN, *entry, image, *arguments))


@pytest.mark.parametrize("target", _TARGETS)
def test_an_image_says_what_it_is_and_runs_as_nobody_special(podman: Any, image: Any, target: str) -> None:
    (found,) = json.loads(podman("image", "inspect", image(target)))

    config = found["Config"]
    labels = config["Labels"]
    assert config["User"] == "65532:65532"
    assert labels["org.opencontainers.image.title"].startswith("Candor ")
    assert labels["org.opencontainers.image.version"] == "0.1.0"
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert labels["org.opencontainers.image.revision"]
    expected = {"cli": ["candor"], "operator": ["python", "-m", "candor_operator"]}
    assert config["Entrypoint"] == expected.get(target, ["python", "-m", f"services.{target}"])


def test_the_command_line_runs_locked_down(podman: Any, image: Any) -> None:
    assert run(podman, image("cli"), "--version") == "0.1.0"


@pytest.mark.parametrize("target", _TARGETS)
def test_an_image_has_bytecode_and_no_tools_to_build_with(podman: Any, image: Any, target: str) -> None:
    script = """
import importlib.util, json, shutil, sys
from pathlib import Path
import chassis.serving
from importlib.metadata import distributions
site = Path(chassis.serving.__file__).parents[1]
print(json.dumps({
    "prefix": sys.prefix,
    "packages": sorted(each.metadata["Name"].lower() for each in distributions(path=[str(site)])),
    "bytecode": Path(importlib.util.cache_from_source(chassis.serving.__file__)).exists(),
    "tools": [name for name in ("gcc", "cc", "make", "git") if shutil.which(name)],
}))
"""
    found = json.loads(run(podman, image(target), "-c", script, entrypoint="python"))

    assert found["prefix"] == "/opt/candor"
    assert found["bytecode"]
    assert found["tools"] == []
    assert "candor" in found["packages"]
    assert ("torch" in found["packages"]) is (target == "grader")
    assert not {"pip", "setuptools", "pytest", "grpcio-tools"} & set(found["packages"])


def test_what_candor_needs_is_in_its_image_at_the_versions_it_needs(podman: Any, image: Any) -> None:
    script = """
from importlib.metadata import requires, version
from packaging.requirements import Requirement
for text in requires("candor"):
    need = Requirement(text)
    if need.marker is None:
        assert need.specifier.contains(version(need.name)), text
"""
    for target in ("grader", "orchestrator"):
        run(podman, image(target), "-c", script, entrypoint="python")


def test_a_service_with_a_bad_setting_ends_and_names_it(podman: Any, image: Any) -> None:
    words = ("create", *_LOCKED_DOWN, "--env", "CANDOR_GRADER_PORT=eighty", image("grader"))
    container = podman(*words)
    try:
        podman("start", container)
        code = int(podman("wait", container))
        assert code == 78
        assert "CANDOR_GRADER_PORT" in podman.logs(container)
    finally:
        podman("rm", "--force", container)
