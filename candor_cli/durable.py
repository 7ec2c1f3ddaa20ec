"""Whether what is paid for outlives this process: in a pod, a folder may be gone when the pod is moved.

Read from /proc/self/mountinfo (proc_pid_mountinfo(5)), where the kubelet's volumes show by the path of their source.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from chassis.errors import CandorError, Reason

_MOUNTS = Path("/proc/self/mountinfo")
# Kinds of the kubelet's volumes that go with the pod, in the path of a mount's source.
_VOLUME = re.compile(r"/volumes/kubernetes\.io~([a-z-]+)/")
_OF_THE_POD = {
    "empty-dir": "an emptyDir",
    "configmap": "a ConfigMap",
    "secret": "a Secret",
    "projected": "a projected volume",
    "downward-api": "a downward API volume",
}
_IN_MEMORY = ("tmpfs", "ramfs")
_ESCAPED = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class _Mount:
    """One line of mountinfo: what of the source is mounted, where, and its file system."""

    root: str
    point: PurePosixPath
    kind: str


def require_durable(folder: Path, what: str) -> None:
    """Refuse to pay for what a pod would lose. Outside a pod every folder is taken as it is.

    Args:
        folder: The state folder; it need not exist.
        what: What would be lost, for the message.

    Raises:
        CandorError: STATE_NOT_DURABLE.
    """
    if "KUBERNETES_SERVICE_HOST" not in os.environ:
        return
    try:
        mounts = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return
    if where := goes_with_the_pod(folder.resolve(), mounts):
        message = (
            f"{folder} lies on {where} and goes with the pod, and with it {what}. Mount a PersistentVolumeClaim and name a "
            "folder on it (--state, CANDOR_STATE), keep the ledger in Postgres (CANDOR_LEDGER_URL), or let an orchestrator "
            "keep it (--orchestrator)"
        )
        raise CandorError(Reason.STATE_NOT_DURABLE, message)


def goes_with_the_pod(folder: Path, mountinfo: str) -> str:
    """What the folder lies on, if it goes with the pod; empty where it stays as far as the mounts tell.

    Args:
        folder: Absolute, without symbolic links.
        mountinfo: Of this process.
    """
    found: _Mount | None = None
    for mount in _mounts(mountinfo):
        # Of two on one point, the later hides the earlier.
        if folder.is_relative_to(mount.point) and (found is None or mount.point.is_relative_to(found.point)):
            found = mount
    if found is None:
        return ""
    if found.kind in _IN_MEMORY:
        return "memory"
    if volume := _VOLUME.search(found.root):
        return _OF_THE_POD.get(volume[1], "")
    return "the container's own layer" if found.point == PurePosixPath("/") else ""


def _mounts(mountinfo: str) -> Iterator[_Mount]:
    for line in mountinfo.splitlines():
        fields, _, source = line.partition(" - ")
        values = fields.split(" ")
        if len(values) > 4 and source:
            yield _Mount(_plain(values[3]), PurePosixPath(_plain(values[4])), source.split(" ")[0])


def _plain(text: str) -> str:
    return _ESCAPED.sub(lambda found: chr(int(found[1], 8)), text)
