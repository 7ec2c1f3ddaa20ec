"""Manifests: `python -m benchmarks.manifests`.

Wall time of rendering each overlay with kubectl, of reading the YAML, of our rules, and of validating every built-in object
against one version of Kubernetes; the median of several. In brackets the processor time, which other load changes less.
Then all pairs of components that the tests render.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import kubernetes_validate

from benchmarks.common import children_cpu, table
from tools.manifests.access_rules import THIRD_PARTIES
from tools.manifests.check import findings
from tools.manifests.combinations import pairs
from tools.manifests.objects import Object
from tools.manifests.render import K8S, compose, kubectl, render


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.manifests", description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="of each overlay; the median counts")
    chosen = parser.parse_args()
    if kubectl() is None:
        print("there is no kubectl here: make setup fetches one", file=sys.stderr)
        return 1
    folders = sorted(path.parent for path in (K8S / "overlays").glob("*/kustomization.yaml"))
    head = ["overlay", "objects", "render and read", "our rules", "validate, one version"]
    table("Manifests", head, [row(folder, chosen.runs) for folder in folders])
    combinations = list(pairs())
    together = timed(lambda: [compose(each) for each in combinations], 1)
    print(f"\n{len(combinations)} pairs of components, rendered and read: {together}")
    return 0


def row(folder: Path, runs: int) -> list[str]:
    """The times of one overlay."""
    objects = render(folder)
    findings(objects)  # imports
    return [
        folder.name,
        str(len(objects)),
        timed(lambda: render(folder), runs),
        timed(lambda: findings(objects), runs),
        timed(lambda: validate(objects), 1),
    ]


def validate(objects: list[Object]) -> None:
    """As the library does it, without the cache that the tests put around it."""
    for each in objects:
        if (each["apiVersion"], each["kind"]) not in THIRD_PARTIES:
            kubernetes_validate.validate(each, "1.36", strict=True)


def timed(action: Callable[[], object], runs: int) -> str:
    """Median wall time and median processor time, our children's included."""
    walls, used = [], []
    for _ in range(runs):
        start, cpu = time.perf_counter(), time.process_time() + children_cpu()
        action()
        walls.append(time.perf_counter() - start)
        used.append(time.process_time() + children_cpu() - cpu)
    return f"{1000 * statistics.median(walls):,.0f} ms ({1000 * statistics.median(used):,.0f} ms)"


if __name__ == "__main__":
    sys.exit(main())
