"""Render a kustomization with kubectl."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import yaml

from tools.manifests.objects import Object

ROOT = Path(__file__).resolve().parents[2]
K8S = ROOT / "deploy" / "k8s"
_OLDEST = (1, 30)


@cache
def kubectl() -> str | None:
    """The one of the environment, else one of the PATH that is new enough; None without."""
    for found in (str(Path(sys.executable).with_name("kubectl")), shutil.which("kubectl")):
        if found and os.access(found, os.X_OK) and _version(found) >= _OLDEST:
            return found
    return None


def render(folder: Path) -> list[Object]:
    """The objects of a kustomization. Raises ValueError with kubectl's words."""
    program = kubectl()
    assert program is not None, "there is no kubectl"
    done = subprocess.run(  # noqa: S603 (our own program and folder)
        [program, "kustomize", str(folder)], check=False, capture_output=True, text=True
    )
    if done.returncode:
        raise ValueError(f"{folder}: {done.stderr.strip()}")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return [each for each in yaml.load_all(done.stdout, loader) if each]


def compose(components: Sequence[str], resources: Sequence[str] = ("base",)) -> list[Object]:
    """What an overlay with these components would be."""
    with tempfile.TemporaryDirectory() as folder:
        up = os.path.relpath(K8S, folder)
        overlay = {
            "namespace": "candor",
            "resources": [f"{up}/{name}" for name in resources],
            "components": [f"{up}/components/{name}" for name in components],
        }
        (Path(folder) / "kustomization.yaml").write_text(json.dumps(overlay), encoding="utf-8")
        return render(Path(folder))


def _version(program: str) -> tuple[int, int]:
    done = subprocess.run(  # noqa: S603 (kubectl)
        [program, "version", "--client", "--output=json"], check=False, capture_output=True, text=True
    )
    if done.returncode:
        return (0, 0)
    said = json.loads(done.stdout)["clientVersion"]
    return int(said["major"]), int("".join(filter(str.isdigit, said["minor"])))
