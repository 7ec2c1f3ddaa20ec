"""Check kustomizations: `python -m tools.manifests deploy/k8s/overlays/gke ...`. Exit code 1 when something is wrong."""

from __future__ import annotations

import sys
from pathlib import Path

from tools.manifests.check import findings
from tools.manifests.render import kubectl, render


def main() -> int:
    """Render and check each folder."""
    if kubectl() is None:
        sys.stderr.write("there is no kubectl of 1.30 or newer; `make setup` fetches one\n")
        return 64
    found = [f"{folder}: {each}" for folder in sys.argv[1:] for each in findings(render(Path(folder)))]
    sys.stdout.writelines(f"{line}\n" for line in found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
