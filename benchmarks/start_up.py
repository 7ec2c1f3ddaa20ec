"""Start-up times: `python -m benchmarks.start_up`.

Wall time from starting the process: of `candor --help` to its end, of the embedded suite (three servers, an empty ledger,
no model) until all three say SERVING. Beside them a Python that does nothing. Bytecode is written first. Then the packages
whose imports cost most on the way to the suite.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.common import ROOT, children_cpu, scratch, table

_PROFILED = 15
_LINE = re.compile(r"import time:\s*(\d+) \|\s*\d+ \| +(\S+)")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.start_up", description=__doc__)
    parser.add_argument("--runs", type=int, default=10, help="starts of each; the median counts")
    parser.add_argument("--suite", type=Path, help="(the child's part) state folder")
    chosen = parser.parse_args()
    if chosen.suite:
        asyncio.run(suite_up(chosen.suite))
        return
    rows = [
        measure("python -c pass", [sys.executable, "-c", "pass"], chosen.runs, ""),
        measure("candor --help", [*_candor(), "--help"], chosen.runs, "0.3 s"),
        measure("candor --version", [*_candor(), "--version"], chosen.runs, ""),
        measure("embedded suite up", [], chosen.runs, "3 s"),
    ]
    table("Start-up, from the start of the process", ["", "median wall", "fastest", "processor", "goal below"], rows)
    profile()


def measure(name: str, command: Sequence[str], runs: int, goal: str) -> list[str]:
    """Median and fastest wall time, and median processor time, of so many starts after one that does not count."""
    walls, used = [], []
    for _ in range(runs + 1):
        cpu = children_cpu()
        walls.append(_start(command) if command else _start_suite())
        used.append(children_cpu() - cpu)
    walls, used = walls[1:], used[1:]
    return [
        name,
        f"{statistics.median(walls):.3f} s",
        f"{min(walls):.3f} s",
        f"{statistics.median(used):.3f} s",
        goal,
    ]


def profile() -> None:
    """The costliest packages: own time of all their modules (measuring itself costs, so shares count)."""
    with scratch() as folder:
        done = subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "benchmarks.start_up", "--suite", str(folder)],
            env=_environment(),
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        )
    own: collections.Counter[str] = collections.Counter()
    modules: collections.Counter[str] = collections.Counter()
    for microseconds, module in _LINE.findall(done.stderr):
        package = _package(module)
        own[package] += int(microseconds)
        modules[package] += 1
    total = sum(own.values())
    rows = [
        [package, f"{spent / 1000:.0f} ms", f"{spent / total:.0%}", f"{modules[package]}"]
        for package, spent in own.most_common(_PROFILED)
    ]
    head = ["package", "own time", "share", "modules"]
    table(f"Imports of the embedded suite: {total / 1e6:.2f} s in {sum(modules.values()):,} modules", head, rows)


async def suite_up(folder: Path) -> None:
    """Start the suite, wait until every service says SERVING, say so, stop."""
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    from candor_cli.embedded import suite

    async with suite(folder) as found:
        for address in found.addresses.values():
            async with grpc.aio.insecure_channel(address) as channel:
                stub = health_pb2_grpc.HealthStub(channel)
                async for answer in stub.Watch(health_pb2.HealthCheckRequest()):
                    if answer.status == health_pb2.HealthCheckResponse.SERVING:
                        break
        print("up", flush=True)


def _start(command: Sequence[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, env=_environment(), cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def _start_suite() -> float:
    """Seconds until the suite is up; stopping it does not count."""
    with scratch() as folder:
        start = time.perf_counter()
        command = [sys.executable, "-m", "benchmarks.start_up", "--suite", str(folder)]
        with subprocess.Popen(command, env=_environment(), cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            said = process.stdout.readline()
            seconds = time.perf_counter() - start
            process.wait()
        assert said == "up\n", "the suite did not come up"
    return seconds


def _candor() -> list[str]:
    script = Path(sys.executable).with_name("candor")
    return [str(script)] if script.exists() else [sys.executable, "-m", "candor_cli"]


def _environment() -> dict[str, str]:
    """As it is, but for a switch that would compile every module again at each start."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def _package(module: str) -> str:
    first, *rest = module.split(".")
    if first in ("services", "google", "candor") and rest:
        return f"{first}.{rest[0]}"
    return first if first not in sys.stdlib_module_names and not first.startswith("_") else "(standard library)"


if __name__ == "__main__":
    main()
