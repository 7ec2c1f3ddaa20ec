"""Memory and time of each stage of an evaluation that makes its arms: `candor demo experiment`, everything in it real.

    python -m benchmarks.stages [--seed 0] [--folder build/stages]

The command runs as a process of its own, with the services in it and the trainer's worker under it; a few times a second
the proportional set sizes of them all are added up. Pages that processes share count once. Linux only.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from benchmarks.common import ROOT, machine, table

_SECONDS = 0.2
# `Pretraining the subject (loss 0.5): 10% of the training`, then `reading: ...` and so on.
_PRETRAINING = re.compile(r"(Making the tokenizer|Pretraining the \w+)")
_STAGE = re.compile(
    r"(planning|reading|rewriting|training|choosing|describing|generating|grading|scoring|analysing|reporting):"
)


def main() -> int:
    """Print a table of the stages; the exit code is the command's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=Path("build/stages"))
    chosen = parser.parse_args()
    print(machine(), flush=True)
    command = [sys.executable, "-m", "candor_cli", "demo", "experiment"]
    start = time.perf_counter()
    with subprocess.Popen(
        [*command, "--folder", str(chosen.folder.absolute()), "--seed", str(chosen.seed)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    ) as process:
        assert process.stdout is not None
        stages = Stages(process.pid)
        stages.follow(process.stdout)
    rows = [[name, f"{seconds:.0f} s", f"{peak:,.0f}" if peak else "–"] for name, seconds, peak in stages.measured()]
    rows.append(["in all", f"{time.perf_counter() - start:.0f} s", f"{max(stages.peaks.values()):,.0f}"])
    table("Stages of candor demo experiment", ["stage", "seconds", "peak MiB, all processes"], rows)
    return process.returncode


class Stages:
    """What the stages of a command took, told apart by the lines that it prints.

    Args:
        pid: The command; its children count, too.
    """

    def __init__(self, pid: int) -> None:
        self.peaks: dict[str, float] = {}
        self._pid = pid
        self._seconds: dict[str, float] = {}
        self._stage = "start"
        self._ended = threading.Event()

    def follow(self, lines: IO[str]) -> None:
        """Read its output to the end, measuring meanwhile."""
        sampler = threading.Thread(target=self._sample)
        sampler.start()
        began = time.perf_counter()
        for line in lines:
            stage = self._named(line)
            if stage != self._stage:
                now = time.perf_counter()
                self._seconds[self._stage] = self._seconds.get(self._stage, 0.0) + now - began
                self._stage, began = stage, now
        self._seconds[self._stage] = self._seconds.get(self._stage, 0.0) + time.perf_counter() - began
        self._ended.set()
        sampler.join()

    def measured(self) -> Iterator[tuple[str, float, float]]:
        """(stage, seconds, MiB) in their order."""
        for stage, seconds in self._seconds.items():
            yield stage, seconds, self.peaks.get(stage, 0.0)

    def _named(self, line: str) -> str:
        if found := _PRETRAINING.match(line):
            return "pretraining"
        found = _STAGE.match(line)
        return found[1] if found else self._stage

    def _sample(self) -> None:
        while not self._ended.wait(_SECONDS):
            stage = self._stage
            self.peaks[stage] = max(self.peaks.get(stage, 0.0), _mebibytes(self._pid))


def _mebibytes(pid: int) -> float:
    """Proportional set sizes of a process and all under it."""
    try:
        sizes = Path(f"/proc/{pid}/smaps_rollup").read_text("utf-8")
        tasks = Path(f"/proc/{pid}/task").iterdir()
        children = [child for task in tasks for child in (task / "children").read_text("utf-8").split()]
    except OSError:
        return 0.0  # it has ended
    own = re.search(r"^Pss:\s+(\d+) kB", sizes, re.MULTILINE)
    return (int(own[1]) / 1024 if own else 0.0) + sum(_mebibytes(int(child)) for child in children)


if __name__ == "__main__":
    sys.exit(main())
