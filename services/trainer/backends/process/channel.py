"""The worker's line to its server: reports as JSON lines one way, the wish that it stop the other.

A child process reports on standard output, and a closed standard input means stop: a server that dies closes it, too, and
the worker saves its state at the next step and goes. A worker in a Pod outlives its server: it reports into a file of the
job's folder, which the server reads whenever it is there, and SIGTERM means stop.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from chassis.errors import CandorError, Reason

_PR_SET_PDEATHSIG = 1
LOCK = "worker.pid"
REPORTS = "reports.jsonl"
# Exit codes of a worker, which a Job's podFailurePolicy knows: a failure that was told and would come again; another worker
# still trains here; stopped by SIGTERM, the state saved. A defect ends with 1, as Python does.
TOLD, BUSY, STOPPED = 3, 75, 128 + signal.SIGTERM


class Channel:
    """Carries reports.

    Args:
        write: Sends one line.
        speaks: Whether reports are sent. Of several processes the first one speaks; the others tell of failures only.
    """

    def __init__(self, write: Callable[[bytes], object], *, speaks: bool = True) -> None:
        self._write = write
        self._speaks = speaks
        self._stop = threading.Event()

    @property
    def stopping(self) -> bool:
        """Whether the server wants us to stop, or is gone."""
        return self._stop.is_set()

    def stop(self) -> None:
        """From now on it is stopping."""
        self._stop.set()

    def tell(self, kind: str, **values: Any) -> None:
        """Send one report; without a server it goes nowhere."""
        if not self._speaks and kind != "failed":
            return
        try:
            self._write(json.dumps({"kind": kind, **values}).encode() + b"\n")
        except BrokenPipeError:
            self.stop()


def to_parent(*, speaks: bool = True) -> Channel:
    """Over the pipes to the server that started us; whatever libraries print on standard output goes to the log instead."""
    out = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    channel = Channel(out.write, speaks=speaks)

    def listen() -> None:
        while os.read(0, 4096):
            pass
        channel.stop()

    threading.Thread(target=listen, daemon=True).start()
    return channel


def to_folder(folder: Path, *, speaks: bool = True) -> Channel:
    """Into the job's folder, from whatever machine; each line is on disk before the next step."""
    file = os.open(folder / REPORTS, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)  # open as long as the worker lives

    def write(line: bytes) -> None:
        if os.write(file, line) < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(file)

    if not ends_a_line(folder / REPORTS):
        write(b"\n")

    channel = Channel(write, speaks=speaks)
    signal.signal(signal.SIGTERM, lambda _number, _frame: channel.stop())
    return channel


def ends_a_line(path: Path) -> bool:
    """Whether the next line may be appended: a crash or a full disk may have cut the last one off."""
    with path.open("rb") as file:
        if not file.seek(0, os.SEEK_END):
            return True
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def die_with_the_launcher() -> None:
    """A process of several is in a session of its own, so that ending the launcher's group would leave it. Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold the job's folder: an orphan of a killed server first saves its state and lets go.

    Raises:
        CandorError: TRAINING_JOB_RUNNING when it is not free after a minute.
    """
    with (folder / LOCK).open("a") as file:
        patience = threading.Event()
        for _ in range(600):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                patience.wait(0.1)
        else:
            message = f"another process still trains in {folder.name}; end it, then create the job again"
            raise CandorError(Reason.TRAINING_JOB_RUNNING, message)
        file.truncate(0)
        file.write(str(os.getpid()))  # for whoever looks after this machine
        file.flush()
        yield
