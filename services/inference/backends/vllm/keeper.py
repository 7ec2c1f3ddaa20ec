"""Runs a command and everything it starts only as long as whoever holds our standard input lives.

    python keeper.py GRACE_SECONDS COMMAND...

A server that is killed cannot stop its children; a pipe that it held is closed by the system in any case. So: our input
ends -> the whole process group is asked to end, and killed after the grace. The command ends -> what it left behind is
killed. Standard library only: it runs by path, before anything else is imported.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress


def main() -> None:
    """Keep the command; ends by killing its own process group, so that nothing outlives it."""
    if os.getpgrp() != os.getpid():
        os.setpgrp()
    signal.signal(signal.SIGTERM, lambda *_: None)  # a handler, not SIG_IGN: the command must not inherit it
    grace = float(sys.argv[1])
    command = subprocess.Popen(sys.argv[2:], stdin=subprocess.DEVNULL)  # noqa: S603 - our own parent names it

    def follow_parent() -> None:
        while os.read(0, 4096):
            pass
        os.killpg(0, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            command.wait(grace)
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=follow_parent, daemon=True).start()
    status = command.wait()
    sys.stderr.write(f"the engine's process ended with status {status}\n")
    sys.stderr.flush()
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
