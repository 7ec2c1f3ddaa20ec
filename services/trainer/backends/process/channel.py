"""The worker's line to its server: reports on standard output as JSON lines, a closed standard input means stop.

A server that dies closes the worker's input, too: the worker saves its state at the next step and goes.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from chassis.errors import CandorError, Reason

_PR_SET_PDEATHSIG = 1
LOCK = "worker.pid"


class Channel:
    """Takes standard output for reports; whatever libraries print goes to the log instead.

    Args:
        speaks: Whether reports are sent. Of several processes the first one speaks; the others tell of failures only.
    """

    def __init__(self, *, speaks: bool = True) -> None:
        self._speaks = speaks
        self._out = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)
        self._stop = threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while os.read(0, 4096):
            pass
        self._stop.set()

    @property
    def stopping(self) -> bool:
        """Whether the server wants us to stop, or is gone."""
        return self._stop.is_set()

    def tell(self, kind: str, **values: Any) -> None:
        """Send one report; without a server it goes nowhere."""
        if not self._speaks and kind != "failed":
            return
        try:
            self._out.write(json.dumps({"kind": kind, **values}) + "\n")
            self._out.flush()
        except (BrokenPipeError, ValueError):
            self._stop.set()


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
