"""Rules of the house that no linter knows."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from chassis.errors import CATALOG, Reason

ROOT = Path(__file__).resolve().parents[3]
# Spelled apart, so that this file does not break its own rule.
HOSTS = re.compile(r"(pypi\." r"org|files\.python" r"hosted|registry\.npm" r"js|deb\.debian" r"\.org)")


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True, check=False)
    names = listed.stdout.splitlines() or [
        str(p.relative_to(ROOT)) for pattern in patterns for p in ROOT.rglob(pattern)
    ]
    return [ROOT / name for name in names if not name.startswith("gen/") and (ROOT / name).is_file()]


def test_no_package_host_and_no_path_of_a_machine_is_committed() -> None:
    files = tracked("*.py", "*.md", "*.toml", "*.txt", "*.in", "*.yaml", "*.json", "Makefile", "*.sh", "*.mjs")
    assert files
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert not HOSTS.search(text), path
        assert not re.search(r"(?<![\w.])/(root|home)/[a-z]", text), path


def test_files_stay_small() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in tracked("*.py")}
    ordered = sorted(lengths.values())
    assert max(lengths.values()) <= 600
    assert ordered[len(ordered) // 2] < 120
    assert ordered[int(0.9 * len(ordered))] < 350
    for path, length in lengths.items():
        if path.name == "servicer.py":
            assert length <= 300, path


def test_every_reason_is_in_the_catalog_and_has_a_grpc_status() -> None:
    import grpc

    assert set(CATALOG) == set(Reason)
    assert {entry.status for entry in CATALOG.values()} <= {code.name for code in grpc.StatusCode}


@pytest.mark.parametrize("script", ["tools/document_settings.py", "tools/render_prometheus_rule.py"])
def test_generated_pages_are_fresh(script: str) -> None:
    done = subprocess.run([sys.executable, script, "--check"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_default_on_the_settings_page_is_a_value_that_the_variable_takes() -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    compound = re.findall(r"^\| `\w+` \| `([(\[{].*?)` \|", page, re.MULTILINE)
    assert compound
    assert all(json.loads(text) for text in compound)


def test_every_reason_is_explained_for_operators() -> None:
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    missing = [reason.name for reason in Reason if f"`{reason.name}`" not in page]
    assert missing == []
