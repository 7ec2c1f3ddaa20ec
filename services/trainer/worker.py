"""`python -m services.trainer.worker FOLDER [--detached]`: carry out the order in a job's folder.

The `process` executor starts it as a child; `--detached`, in a Pod, it reports into the folder and stops on SIGTERM.
"""

from __future__ import annotations

import errno
import os
import shutil
import sys
from contextlib import nullcontext, suppress
from pathlib import Path

from chassis.errors import CandorError, Reason
from services.trainer.backends.process.channel import (
    BUSY,
    STOPPED,
    TOLD,
    Channel,
    die_with_the_launcher,
    only_one,
    to_folder,
    to_parent,
)
from services.trainer.backends.process.order import Order
from services.trainer.domain.memory import ADVICE

# Of torch's allocators.
_NO_MEMORY = ("can't allocate memory", "not enough memory", "out of memory")
# Of safetensors, and of the file that torch writes its files in, which says no more.
_NO_ROOM = ("No space left", "Disk quota exceeded", "File too large", "inline_container.cc")
# Below this a write that failed without saying why failed for lack of space.
_NO_SPACE = 2 * 2**20


def main(folder: Path, *, detached: bool = False) -> int:
    """The exit code; errors with a name are told over the channel, others end in the log."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    rank = int(os.environ.get("RANK", "0"))  # set where a launcher started several of us
    if "RANK" in os.environ:
        die_with_the_launcher()
    channel = to_folder(folder, speaks=rank == 0) if detached else to_parent(speaks=rank == 0)
    from safetensors import SafetensorError

    try:
        with only_one(folder) if rank == 0 else nullcontext():
            order = Order.read(folder)
            from services.trainer.backends.process.training import train

            finished = train(order, folder, channel)
    except CandorError as error:
        return _tell(error, channel, detached=detached)
    except (OSError, MemoryError, RuntimeError, SafetensorError) as error:
        known = _known(error, folder)
        if known is None:
            raise
        return _tell(known, channel, detached=detached)
    channel.tell("ended", finished=finished)
    return STOPPED if detached and not finished else 0


def _tell(failure: CandorError, channel: Channel, *, detached: bool) -> int:
    """Tell a failure, in a Pod on its log, too: the disk that holds the reports may be what is full."""
    if detached:
        sys.stderr.write(f"{failure.reason.value}: {failure.message}\n")
        if failure.reason is Reason.TRAINING_JOB_RUNNING:
            return BUSY
    with suppress(OSError):
        channel.tell("failed", reason=failure.reason.value, message=failure.message)
    return TOLD


def _known(error: BaseException, folder: Path) -> CandorError | None:
    """Lack of memory and of disk space, which libraries name in many ways."""
    text = str(error)
    number = error.errno if isinstance(error, OSError) else None
    if (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or number == errno.ENOMEM
        or any(words in text for words in _NO_MEMORY)
    ):
        return CandorError(
            Reason.OUT_OF_MEMORY, f"out of memory while training; {ADVICE}. The job goes on from its last state."
        )
    full = number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) or any(words in text for words in _NO_ROOM)
    if full or shutil.disk_usage(folder).free < _NO_SPACE:
        message = (
            f"no space left in {folder.parent}, or a quota or a limit on file sizes is reached; make room, then create the "
            "job again: it goes on from its last state"
        )
        return CandorError(Reason.DISK_FULL, message)
    return None


if __name__ == "__main__":
    code = main(Path(sys.argv[1]), detached="--detached" in sys.argv[2:])
    sys.stderr.flush()
    os._exit(code)  # everything is on disk and told; taking torch down politely would take seconds
