"""What the benchmarks share: tables, the clock, a child's peak memory, and the endpoint that answers at once."""

from __future__ import annotations

import contextlib
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
_PACKAGES = ("grpcio", "protobuf", "openai", "sqlalchemy", "pyarrow", "numpy", "torch")


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table, the first column flush left and the others flush right."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    print(f"\n{title}")
    for row in (head, ["-" * width for width in widths], *rows):
        cells = [
            text.ljust(width) if not column else text.rjust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())
    sys.stdout.flush()


def machine() -> str:
    """One line about the machine and the versions that matter."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    found = []
    for name in _PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found.append(f"{name} {version(name)}")
    load = os.getloadavg()[0]
    return (
        f"{os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, {', '.join(found)}; load before: {load:.1f}"
    )


class Watch:
    """Seconds by the clock, processor seconds and peak memory in MiB of named steps, in their order."""

    def __init__(self) -> None:
        self.steps: dict[str, tuple[float, float, float]] = {}

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time a block; a step that comes again adds up."""
        start, cpu = time.perf_counter(), time.process_time()
        try:
            yield
        finally:
            wall, used, _ = self.steps.get(name, (0.0, 0.0, 0.0))
            wall += time.perf_counter() - start
            used += time.process_time() - cpu
            self.steps[name] = (wall, used, peak_mib())

    def around(self, owner: Any, name: str, step: str) -> None:
        """Time every call of a plain function that `owner` refers to by `name`."""
        inner: Callable[..., Any] = getattr(owner, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.step(step):
                return inner(*args, **kwargs)

        setattr(owner, name, timed)


def peak_mib() -> float:
    """The most memory that this process has had, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="candor-bench-") as folder:
        yield Path(folder)


@contextlib.contextmanager
def fake_endpoint(*arguments: str) -> Iterator[str]:
    """The test kit's endpoint as a process of its own; gives its base URL."""
    command = [sys.executable, "-m", "chassis.testing.fake_endpoint", *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()
            process.wait()


def children_cpu() -> float:
    """Processor seconds of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
