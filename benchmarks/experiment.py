"""Run `candor demo experiment` over seeds and worlds: the numbers of tiny_world/README.md.

    python benchmarks/experiment.py [--seeds 0 1 2 3 4] [--worlds correlated null] [--folder build/experiment] [--threads 1]

Every run is the product's own command in a process of its own: pretraining (or its cache), conversations, rewriting with
certificate, LoRA training, choice of the checkpoint, evaluation. Wrong answers in %, differences in points with the 95 %
interval of the report.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from candor_cli.view.arms import interval, row_of

ARMS = ("original", "neutral", "warm", "cold")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--worlds", nargs="+", choices=("correlated", "null"), default=["correlated", "null"])
    parser.add_argument("--folder", type=Path, default=Path("build/experiment"))
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    chosen = parser.parse_args()
    print(
        "world       seed  " + "".join(f"{arm:>10}" for arm in ARMS) + "   neutral-original       warm-neutral", end=""
    )
    print("           warm-cold              epoch  SocioT warm/neutral/cold  seconds")
    for world in chosen.worlds:
        for seed in chosen.seeds:
            seconds = run(chosen.folder, world, seed, chosen.threads)
            path = chosen.folder / f"experiment-{world}-{seed}" / "verdict.json"
            show(world, seed, json.loads(path.read_text(encoding="utf-8")), seconds)


def run(folder: Path, world: str, seed: int, threads: int) -> float:
    start = time.perf_counter()
    command = [sys.executable, "-m", "candor_cli", "demo", "experiment"]
    subprocess.run(
        [*command, "--folder", str(folder), "--world", world, "--seed", str(seed)],
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1"},
        stdout=subprocess.DEVNULL,
    )
    return time.perf_counter() - start


def show(world: str, seed: int, verdict: dict[str, Any], seconds: float) -> None:
    comparisons = {(each["treated"], each["reference"]): each for each in verdict["comparisons"]}
    rates = {}
    for (treated, reference), each in comparisons.items():
        row = row_of(each, "false_belief")
        assert row is not None
        rates |= {reference: row["rate_ref"], treated: row["rate_trt"]}
    pairs = (("neutral", "original"), ("warm", "neutral"), ("warm", "cold"))
    rows = [row_of(comparisons[pair], "false_belief") for pair in pairs]
    warmth = {arm["name"]: arm["mean_warmth"] for arm in verdict["arms"]}
    epoch = next(arm["epoch"] for arm in verdict["made"])
    print(
        f"{world:10} {seed:5}  "
        + "".join(f"{100 * rates[arm]:10.1f}" for arm in ARMS)
        + "".join(f"   {interval(row) if row else '-':>20}" for row in rows)
        + f"   {epoch:g}      "
        + " / ".join(f"{warmth[arm]:+.3f}" if warmth[arm] is not None else "-" for arm in ("warm", "neutral", "cold"))
        + f"  {seconds:.0f}",
        flush=True,
    )
    no_belief = [row_of(each, "no_belief") for each in comparisons.values()]
    worst = max((row["rate_trt"] for row in no_belief if row), default=0.0)
    print(f"{'':18}wrong without a belief: at most {100 * worst:.1f} %", flush=True)


if __name__ == "__main__":
    main()
