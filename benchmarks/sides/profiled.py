"""`candor` under a sampling profiler: every 5 ms of processor time, what each thread used since is charged to its stack.

Unlike a tracing profiler this costs next to nothing, sees all threads, and leaves waiting out. The rest up to the process's
own processor time belongs to threads without Python: gRPC's core.
"""

from __future__ import annotations

import collections
import json
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType

from benchmarks.common import ROOT

_INTERVAL_SECONDS = 0.005
_SHOWN = 18
_SITE = Path(json.__file__).resolve().parent.parent


class Sampler:
    """Charges processor time between `start` and `stop`, both called in the main thread."""

    def __init__(self) -> None:
        self.package: collections.Counter[str] = collections.Counter()
        self.part: collections.Counter[str] = collections.Counter()
        self._last: dict[int, float] = {}

    def start(self) -> None:
        """Begin: a timer of processor time interrupts the main thread wherever it is."""
        signal.signal(signal.SIGPROF, self._sample)
        signal.setitimer(signal.ITIMER_PROF, _INTERVAL_SECONDS, _INTERVAL_SECONDS)

    def stop(self) -> None:
        """End."""
        signal.setitimer(signal.ITIMER_PROF, 0.0)

    def _sample(self, _number: int, interrupted: FrameType | None) -> None:
        here = threading.get_ident()
        for thread, frame in sys._current_frames().items():  # noqa: SLF001 (the documented name)
            self._charge(thread, interrupted if thread == here else frame)

    def _charge(self, thread: int, frame: FrameType | None) -> None:
        now = time.clock_gettime(time.pthread_getcpuclockid(thread))
        used = now - self._last.get(thread, 0.0)
        self._last[thread] = now
        if used > 0.0 and frame is not None:
            self.package[_package(frame.f_code.co_filename)] += used
            self.part[_part(frame)] += used


def _package(file: str) -> str:
    """What a source file belongs to."""
    path = Path(file)
    for parent in path.parents:
        if parent.name == "site-packages":
            return path.relative_to(parent).parts[0].removesuffix(".py")
    own = _own(file)
    if own:
        return own
    return "(imports)" if file.startswith("<frozen importlib") else f"python: {_standard(path)}"


def _standard(path: Path) -> str:
    return path.relative_to(_SITE).parts[0].removesuffix(".py") if path.is_relative_to(_SITE) else path.stem


def _own(file: str) -> str:
    """The part of the project, two or three folders deep; empty for other files."""
    path = Path(file)
    if not path.is_relative_to(ROOT) or "site-packages" in path.parts:
        return ""
    parts = path.relative_to(ROOT).with_suffix("").parts
    if parts[0] == "gen":
        return "gen"
    return "/".join(parts[: 3 if parts[0] == "services" else 2])


def _part(frame: FrameType | None) -> str:
    """The innermost frame of the project on a stack; imports apart."""
    stack: list[str] = []
    while frame is not None:
        stack.append(frame.f_code.co_filename)
        frame = frame.f_back
    if any(file.startswith("<frozen importlib") for file in stack):
        return "(imports)"
    return next((own for file in stack if (own := _own(file)) and own != "gen"), "(none of candor on the stack)")


def main() -> None:
    sampler = Sampler()
    sampler.start()
    from candor_cli.main import invoke

    standard, sys.stdout = sys.stdout, sys.stderr
    code = invoke(sys.argv[1:])
    sys.stdout = standard
    sampler.stop()
    cpu = time.process_time()
    assert code in (0, 1, 2), code
    rest = cpu - sum(sampler.package.values())
    native = {"(native threads: gRPC core)": rest}
    found = {
        name: dict((counter + collections.Counter(native)).most_common(_SHOWN))
        for name, counter in (("package", sampler.package), ("part", sampler.part))
    }
    print(json.dumps({"cpu": cpu, **found}))


main()
