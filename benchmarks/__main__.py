"""Run the benchmarks of one CPU machine, one after the other: `python -m benchmarks [NAME...]`. Nothing else should run meanwhile.

Left out are `benchmarks.miniature`, `benchmarks.experiment` and `benchmarks.stages`, which train the tiny world and take many
minutes, and `benchmarks.vllm`, which needs the vLLM engine (`make setup-vllm`).
"""

from __future__ import annotations

import subprocess
import sys
import time

from benchmarks.common import ROOT, machine

COMMANDS = {
    "start_up": [],
    "manifests": [],
    "grader_rpc": [],
    "metrics": ["--kibibytes", "50"],
    "rewriter": ["--mebibytes", "256"],
    "end_to_end": [],
    "ledger": [],
    "analysis": [],
    "training": ["--cpu-time", "--conversations", "64", "--hidden", "64", "--layers", "2"],
    # Every pass of the published loop costs the same; ten of its hundred are timed.
    "sociot": ["--loop-passes", "10"],
}
_LONGEST_SECONDS = 900


def main() -> int:
    """Run those named, or all; returns how many failed."""
    names = sys.argv[1:] or list(COMMANDS)
    unknown = sorted(set(names) - set(COMMANDS))
    if unknown:
        print(f"there is no benchmark {unknown[0]!r}; there are {', '.join(COMMANDS)}", file=sys.stderr)
        return 64
    print(machine(), flush=True)
    failed = []
    for name in names:
        command = ["-m", f"benchmarks.{name}", *COMMANDS[name]]
        print(f"\n== python {' '.join(command)}", flush=True)
        start = time.monotonic()
        try:
            code = subprocess.run(
                [sys.executable, *command], cwd=ROOT, check=False, timeout=_LONGEST_SECONDS
            ).returncode
        except subprocess.TimeoutExpired:
            code = -1
        print(f"({time.monotonic() - start:.0f} s)", flush=True)
        if code:
            failed.append(name)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
