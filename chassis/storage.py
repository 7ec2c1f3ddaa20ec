"""What a file system or an object store refuses, in our words."""

from __future__ import annotations

import errno

from chassis.errors import CandorError, Reason

_FULL = (errno.ENOSPC, errno.EDQUOT)


def storage_error(error: OSError, what: str, *, full: Reason = Reason.DISK_FULL) -> CandorError:
    """The error to raise for a failed read or write.

    Args:
        error: What the store said.
        what: The file or folder and what cannot be done with it, for example `cannot write out.csv`.
        full: The reason when there is no room; any other refusal is STORAGE_UNUSABLE.
    """
    said = error.strerror or str(error) or type(error).__name__
    if error.errno in _FULL:
        return CandorError(full, f"{what}: {said}; free space and give the same command again")
    return CandorError(
        Reason.STORAGE_UNUSABLE, f"{what}: {said}; mend the path or its permissions and give the same command again"
    )
