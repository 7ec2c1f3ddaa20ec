"""deploy/k8s/README.md says what is there, and what it tells people to write works."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from tools.manifests.check import findings
from tools.manifests.combinations import components
from tools.manifests.objects import of_kind, pods
from tools.manifests.pod_rules import SECRETS
from tools.manifests.render import K8S, ROOT, render

README = (K8S / "README.md").read_text(encoding="utf-8")


def test_it_names_every_component_and_every_overlay() -> None:
    table = README.partition("## Components")[2]
    named = {
        name for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in re.findall(r"`([\w-]+)`", row)
    }
    assert named == components()
    for path in (K8S / "overlays").glob("*/kustomization.yaml"):
        assert path.parent.name in README


def test_the_paths_in_its_commands_exist() -> None:
    found = set(re.findall(r"(?<![\w/])deploy/k8s/[\w./-]*[\w-]", README))
    assert {path for path in found if not (ROOT / path).exists()} == set()


def test_the_secrets_that_people_make_are_those_that_pods_want() -> None:
    said = set(re.findall(r"create secret generic (\S+)", README))
    assert said == {"candor-postgres", "candor-credentials"} <= SECRETS


def test_the_overlay_that_it_shows_is_good(tmp_path: Path) -> None:
    [shown] = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    up = os.path.relpath(K8S, tmp_path)
    shown = re.sub(r"\[github.com/\S+/deploy/k8s(/overlays/\w+)\].*", rf"[{up}\1]", shown).replace("YOUR/", "yours/")
    (tmp_path / "kustomization.yaml").write_text(shown)
    (tmp_path / "callers.json").write_text('{"team-a": {"certificates": "team-a", "scopes": ["grader"]}}')
    objects = render(tmp_path)
    assert "yours/grader:0.1.0" in {each["image"] for pod in pods(objects) for each in pod.containers}
    assert "judge.example.com" in json.dumps(of_kind(objects, "ConfigMap"))
    assert {each for each in findings(objects) if "none of components/images" not in each} == set()
