"""Replies a second of the whole path: `python -m benchmarks.end_to_end [--inspect PYTHON]`.

The endpoint is the test kit's, a process of its own that answers at once. The same prompts go through

- `candor evaluate`, a process from its start to its exit code: embedded suite, gRPC, ledger, grading, gate, report files;
- inspect-ai, if `--inspect` (or CANDOR_BENCH_INSPECT) names the Python of an environment that has it: a process as well,
  `generate` and the `includes` scorer, its log written;
- a bare loop over the openai SDK, which keeps nothing and grades nothing.

All with at most 64 requests under way. Candor asks two arms, so it makes twice as many replies; each side's rate is its own
replies over its own time. They take turns `--rounds` times and the medians count. Then one more candor run shows where its
processor time goes.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.common import ROOT, children_cpu, fake_endpoint, scratch, table

UNDER_WAY = 64
CORE = ROOT / "services" / "orchestrator" / "data" / "tasks" / "core"
DOCUMENT = """
arms:
  v1: {{endpoint: {{base_url: "{url}", model: one}}}}
  v2: {{endpoint: {{base_url: "{url}", model: two}}}}
baseline: v1
tasks: [{{name: core}}]
gate: {{stopping: fixed}}   # every arm is asked everything
"""
VERDICTS = (0, 1, 2)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.end_to_end", description=__doc__)
    parser.add_argument("--items", type=int, default=200, help="questions; each is asked in ten cells of each arm")
    parser.add_argument("--rounds", type=int, default=2, help="how often the sides take turns")
    parser.add_argument(
        "--inspect", default=os.environ.get("CANDOR_BENCH_INSPECT", ""), help="Python that can import inspect_ai"
    )
    chosen = parser.parse_args()
    tables = [part for path in sorted(CORE.glob("*.jsonl")) for part in ("--table", str(path))]
    with scratch() as folder, fake_endpoint("--policy", "core", *tables, "--sycophancy-rate", "0.1") as url:
        document = folder / "evaluation.yaml"
        document.write_text(DOCUMENT.format(url=url), encoding="utf-8")
        prompts = folder / "prompts.json"
        prompts.write_text(json.dumps(make_prompts(document, chosen.items)), encoding="utf-8")
        found = compare(url, document, prompts, chosen)
        show(found)
        profile(document, chosen.items)


def compare(url: str, document: Path, prompts: Path, chosen: argparse.Namespace) -> dict[str, list[dict[str, float]]]:
    """Each side's rounds: replies, seconds of the process, seconds of asking alone, processor seconds."""
    here = {"OPENAI_API_KEY": "none", "BENCH_URL": url, "BENCH_UNDER_WAY": str(UNDER_WAY)}
    sides = {"bare openai SDK loop": [sys.executable, "-m", "benchmarks.sides.bare", str(prompts)]}
    if chosen.inspect:
        sides["inspect-ai"] = [chosen.inspect, str(ROOT / "benchmarks" / "sides" / "inspect_side.py"), str(prompts)]
    else:
        print("inspect-ai is left out: name the Python of an environment that has it with --inspect")
    found: dict[str, list[dict[str, float]]] = {"candor evaluate": [], **{name: [] for name in sides}}
    for number in range(chosen.rounds):
        found["candor evaluate"].append(candor(document, chosen.items, number))
        for name, command in sides.items():
            start, cpu = time.perf_counter(), children_cpu()
            done = subprocess.run(
                command, env=os.environ | here, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True, timeout=900
            )
            took = {"seconds": time.perf_counter() - start, "cpu": children_cpu() - cpu}
            found[name].append(json.loads(done.stdout.splitlines()[-1]) | took)
    return found


def candor(document: Path, items: int, number: int) -> dict[str, float]:
    """One `candor evaluate` of a fresh ledger."""
    out = document.parent / f"candor-{number}"
    start, cpu = time.perf_counter(), children_cpu()
    command = [sys.executable, "-m", "candor_cli", *_arguments(document, items, out)]
    done = subprocess.run(command, env=_environment(), cwd=ROOT, check=False, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    assert done.returncode in VERDICTS, done.stderr
    verdict = json.loads((out / "verdict.json").read_text(encoding="utf-8"))
    stages = verdict["stage_seconds"]
    return {
        "replies": sum(arm["calls"] for arm in verdict["arms"]),
        "seconds": seconds,
        "asking": stages["generating"] + stages.get("grading", 0.0),
        "cpu": children_cpu() - cpu,
    }


def show(found: dict[str, list[dict[str, float]]]) -> None:
    """Medians of the rounds, and the ratios of rates."""
    medians = {
        name: {key: statistics.median(found_round[key] for found_round in rounds) for key in rounds[0]}
        for name, rounds in found.items()
    }
    ours = medians["candor evaluate"]
    rows = []
    for name, one in medians.items():
        whole, asking = one["replies"] / one["seconds"], one["replies"] / one["asking"]
        ratio = ours["replies"] / ours["seconds"] / whole
        ratio_asking = ours["replies"] / ours["asking"] / asking
        rows.append(
            [
                name,
                f"{one['replies']:,.0f}",
                f"{one['seconds']:.1f} s",
                f"{whole:,.0f}",
                f"{ratio:.2f} x",
                f"{asking:,.0f}",
                f"{ratio_asking:.2f} x",
                f"{1000 * one['cpu'] / one['replies']:.2f} ms",
            ]
        )
    head = ["", "replies", "process", "replies/s", "candor", "replies/s asking", "candor", "processor a reply"]
    table(f"{UNDER_WAY} requests under way, an endpoint that answers at once", head, rows)


def profile(document: Path, items: int) -> None:
    """Where the processor time of one more run goes."""
    out = document.parent / "profiled"
    command = [sys.executable, "-m", "benchmarks.sides.profiled", *_arguments(document, items, out)]
    done = subprocess.run(command, env=_environment(), cwd=ROOT, check=True, capture_output=True, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    for title, head in (("by the package that ran", "package"), ("by the part of candor that asked for it", "part")):
        rows = [[name, f"{seconds:.2f} s", f"{seconds / found['cpu']:.0%}"] for name, seconds in found[head].items()]
        table(f"Processor time of candor evaluate, {title} ({found['cpu']:.1f} s in all)", [head, "", "share"], rows)


def make_prompts(document: Path, items: int) -> list[dict[str, Any]]:
    """What each arm of the document is asked: messages and gold answers."""
    from candor_cli.document import read_document
    from services.orchestrator.convert.documents import spec_from_proto
    from services.orchestrator.domain.tasks import load
    from services.orchestrator.domain.workload import Workload

    spec = spec_from_proto(read_document(document).spec)
    workload = Workload.of(spec, [load("core", [], spec.seed)], items)
    return [
        {
            "messages": [{"role": role, "content": content} for role, content in workload.messages(index)],
            "gold": list(workload.items[slot.item].gold),
        }
        for index, slot in enumerate(workload.slots)
    ]


def _arguments(document: Path, items: int, out: Path) -> list[str]:
    state = out.with_suffix(".state")
    return ["evaluate", str(document), "--limit", str(items), "--quiet", "--out", str(out), "--state", str(state)]


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


if __name__ == "__main__":
    main()
