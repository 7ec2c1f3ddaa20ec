"""`python -m services.trainer.worker FOLDER`: carry out the order in a job's folder. Started by the `process` executor."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from pathlib import Path

from chassis.errors import CandorError, Reason

# Below this a write that failed without saying why failed for lack of space.
_NO_SPACE = 2 * 2**20


def main(folder: Path) -> int:
    """The exit code; errors with a name are told over the channel, others end in the log."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from safetensors import SafetensorError

    from services.trainer.backends.process.channel import Channel, only_one
    from services.trainer.backends.process.order import Order

    channel = Channel()
    try:
        with only_one(folder):
            order = Order.read(folder)
            from services.trainer.backends.process.training import train

            finished = train(order, folder, channel)
    except CandorError as error:
        channel.tell("failed", reason=error.reason.value, message=error.message)
        return 1
    except (OSError, MemoryError, RuntimeError, SafetensorError) as error:
        known = _known(error, folder)
        if known is None:
            raise
        channel.tell("failed", reason=known.reason.value, message=known.message)
        return 1
    channel.tell("ended", finished=finished)
    return 0


def _known(error: Exception, folder: Path) -> CandorError | None:
    """Lack of memory and of disk space, which libraries name in many ways."""
    text = str(error)
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or "not enough memory" in text:
        return CandorError(
            Reason.OUT_OF_MEMORY,
            "out of memory while training; lower training.device_batch_size or training.max_length, or turn "
            "training.gradient_checkpointing on. The job goes on from its last state.",
        )
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    if full or "No space left" in text or shutil.disk_usage(folder).free < _NO_SPACE:
        return CandorError(
            Reason.DISK_FULL,
            f"no space left in {folder.parent}; make room, then create the job again: it goes on from its last state",
        )
    return None


if __name__ == "__main__":
    code = main(Path(sys.argv[1]))
    sys.stderr.flush()
    os._exit(code)  # everything is on disk and told; taking torch down politely would take seconds
