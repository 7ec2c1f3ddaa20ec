"""The Jobs as kustomize renders them, alone and with the components that a secured installation adds."""

import copy
import json
import os
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tools.manifests.objects import Object
from tools.manifests.render import K8S, kubectl, render

JOBS = ("evaluate", "nightly", "embedded", "embedded-postgres")


@pytest.fixture(scope="session", autouse=True)
def _kubectl() -> None:
    if kubectl() is None:
        pytest.skip("no kubectl of 1.30 or newer here (make setup fetches one): no Job was rendered or checked")


@pytest.fixture(scope="session")
def rendered() -> Callable[..., list[Object]]:
    """Renders a Job's folder with components, once."""

    @cache
    def objects(name: str, *components: str) -> list[Object]:
        with tempfile.TemporaryDirectory() as folder:
            up = os.path.relpath(K8S / "jobs", folder)
            overlay = {"resources": [f"{up}/{name}"], "components": [f"{up}/components/{each}" for each in components]}
            (Path(folder) / "kustomization.yaml").write_text(json.dumps(overlay), encoding="utf-8")
            return render(Path(folder))

    return lambda name, *components: copy.deepcopy(objects(name, *components))


@pytest.fixture(params=JOBS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def job_of() -> Callable[[list[Object]], dict[str, Any]]:
    """The Job, or the CronJob's template of one."""

    def found(objects: list[Object]) -> dict[str, Any]:
        job = next(each for each in objects if each["kind"] in ("Job", "CronJob"))
        spec: dict[str, Any] = job["spec"] if job["kind"] == "Job" else job["spec"]["jobTemplate"]["spec"]
        return spec

    return found
