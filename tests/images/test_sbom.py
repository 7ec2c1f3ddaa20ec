"""A software bill of materials says what an image has, as it is installed."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tools.containers.images import ROOT, TAG
from tools.containers.podman import CONF


def test_the_bill_of_an_image_names_its_packages_with_versions_and_licences(
    podman: Any, image: Any, tmp_path: Path
) -> None:
    image("cli")
    tool = tmp_path / "tool"
    subprocess.run([sys.executable, "-m", "venv", tool], check=True)
    pip = [tool / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "cyclonedx-bom==7.5.0"], check=True, capture_output=True)
    names = {"ENGINE": podman.binary, "PREFIX": "localhost/candor", "TAG": TAG, "OUT": str(tmp_path)}
    subprocess.run(
        ["sh", ROOT / "tools" / "write_sboms.sh", tool, sys.prefix, "cli"],
        env={"CONTAINERS_CONF": str(CONF), **os.environ, **names},
        check=True,
        capture_output=True,
    )

    bill = json.loads((tmp_path / "sbom-cli.cdx.json").read_text())
    assert bill["bomFormat"] == "CycloneDX"
    found = {each["name"].lower(): each for each in bill["components"]}
    pins = dict(line.split("==") for line in (ROOT / "requirements" / "services.txt").read_text().split())
    assert found["grpcio"]["version"] == pins["grpcio"]
    assert found["grpcio"]["licenses"]
    assert found["candor"]["version"] == "0.1.0"
    assert not {"cyclonedx-bom", "torch", "pip"} & found.keys()
    assert (tmp_path / "sbom-environment.cdx.json").stat().st_size > 10_000
