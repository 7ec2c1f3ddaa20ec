"""What a file system refuses, in our words."""

import errno
import os

import pytest

from chassis.errors import Reason
from chassis.storage import storage_error


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.ENOSPC, Reason.DISK_FULL),
        (errno.EDQUOT, Reason.DISK_FULL),
        (errno.EACCES, Reason.STORAGE_UNUSABLE),
        (errno.ENOENT, Reason.STORAGE_UNUSABLE),
        (errno.EROFS, Reason.STORAGE_UNUSABLE),
        (errno.EIO, Reason.STORAGE_UNUSABLE),
    ],
)
def test_only_a_full_disk_is_called_full(number: int, reason: Reason) -> None:
    error = storage_error(OSError(number, os.strerror(number)), "cannot write out.csv")
    assert error.reason is reason
    assert error.retryable is (reason is Reason.DISK_FULL)
    assert str(error).startswith(f"cannot write out.csv: {os.strerror(number)}; ")


def test_a_full_ledger_is_told_from_a_full_store() -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    assert storage_error(full, "the state folder", full=Reason.LEDGER_FULL).reason is Reason.LEDGER_FULL


def test_a_store_that_says_nothing_is_named_by_its_error() -> None:
    assert "PermissionError" in str(storage_error(PermissionError(), "the artifacts cannot be used"))
