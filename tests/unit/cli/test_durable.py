"""Which folders outlive a pod, by what the kubelet's mounts look like from inside: containerd, cri-o, kind, common drivers."""

from pathlib import Path

import pytest

from candor_cli import durable
from candor_cli.durable import goes_with_the_pod, require_durable
from chassis.errors import CandorError, ExitCode, Reason

POD = "/pods/4c0e9a55-3f5e-4d53-9a1b-2f6f1f1f9f10/volumes"
BASE = """\
1187 1062 0:343 / / ro,relatime - overlay overlay rw,lowerdir=/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots/91/fs,upperdir=/x,workdir=/y
1188 1187 0:345 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw
1189 1187 0:346 / /dev rw,nosuid - tmpfs tmpfs rw,size=65536k,mode=755
1190 1189 0:347 / /dev/pts rw,nosuid,noexec,relatime - devpts devpts rw,gid=5,mode=620,ptmxmode=666
1195 1187 259:1 /var/lib/kubelet/pods/4c0e9a55-3f5e-4d53-9a1b-2f6f1f1f9f10/etc-hosts /etc/hosts rw,noatime - xfs /dev/nvme0n1p1 rw
1196 1189 259:1 /var/lib/kubelet/pods/4c0e9a55-3f5e-4d53-9a1b-2f6f1f1f9f10/containers/cli/0a1b2c3d /dev/termination-log rw,noatime - xfs /dev/nvme0n1p1 rw
1197 1189 0:341 / /dev/shm rw,nosuid,nodev,noexec,relatime - tmpfs shm rw,size=65536k
"""
STATE = Path("/var/lib/candor/state")


def mounts(*lines: str) -> str:
    return BASE + "".join(f"{line}\n" for line in lines)


@pytest.mark.parametrize(
    ("lines", "lies_on"),
    [
        ((), "the container's own layer"),
        (
            (
                f"1200 1187 259:1 /var/lib/kubelet{POD}/kubernetes.io~empty-dir/state /var/lib/candor rw - xfs /dev/nvme0n1p1 rw",
            ),
            "an emptyDir",
        ),
        # A file system of its own for the kubelet; kind, whose node is a container; a btrfs subvolume; a subPath of the volume.
        (
            (f"1200 1187 8:17 {POD}/kubernetes.io~empty-dir/state /var/lib/candor rw - ext4 /dev/sdb1 rw",),
            "an emptyDir",
        ),
        (
            (
                f"1200 1187 8:1 /docker/volumes/1f/_data/lib/kubelet{POD}/kubernetes.io~empty-dir/s /var/lib/candor rw - ext4 x rw",
            ),
            "an emptyDir",
        ),
        (
            (
                f"1200 1187 0:31 /@/var/lib/kubelet{POD}/kubernetes.io~empty-dir/s/sub /var/lib/candor rw - btrfs /dev/sda2 rw",
            ),
            "an emptyDir",
        ),
        (("1200 1187 0:350 / /var/lib/candor rw,relatime - tmpfs tmpfs rw,size=1048576k",), "memory"),
        (
            (
                f"1200 1187 259:1 /var/lib/kubelet{POD}/kubernetes.io~configmap/c /var/lib/candor ro - xfs /dev/nvme0n1p1 rw",
            ),
            "a ConfigMap",
        ),
        # What is mounted deeper, or later on the same point, is what counts.
        (
            (
                "1200 1187 259:3 / /var/lib rw,relatime - ext4 /dev/nvme1n1 rw",
                f"1201 1200 259:1 /var/lib/kubelet{POD}/kubernetes.io~empty-dir/s /var/lib/candor rw - xfs /dev/nvme0n1p1 rw",
            ),
            "an emptyDir",
        ),
        (
            (
                "1200 1187 259:3 / /var/lib/candor rw,relatime - ext4 /dev/nvme1n1 rw",
                "1201 1187 0:350 / /var/lib/candor rw,relatime - tmpfs tmpfs rw",
            ),
            "memory",
        ),
    ],
)
def test_what_goes_with_the_pod_is_named(lines: tuple[str, ...], lies_on: str) -> None:
    assert goes_with_the_pod(STATE, mounts(*lines)) == lies_on


@pytest.mark.parametrize(
    "line",
    [
        # A CSI driver's block device; a shared file system; the local-path provisioner; a subPath of a claim; a hostPath.
        "1200 1187 259:3 / /var/lib/candor rw,relatime - ext4 /dev/nvme1n1 rw",
        "1200 1187 0:60 /pvc-7d0c /var/lib/candor rw,relatime - nfs4 10.0.3.4:/export rw,vers=4.1",
        "1200 1187 0:61 /volumes/csi/pvc-7d0c /var/lib/candor rw,relatime - ceph 10.0.3.5:6789:/ rw",
        "1200 1187 8:1 /opt/local-path-provisioner/pvc-7d0c_candor_embedded-state /var/lib/candor rw - ext4 /dev/sda1 rw",
        f"1200 1187 8:1 /var/lib/kubelet{POD}/kubernetes.io~csi/pvc-7d0c/mount/sub /var/lib/candor rw - ext4 /dev/sda1 rw",
        f"1200 1187 8:1 /var/lib/kubelet{POD}/kubernetes.io~local-volume/pv-1 /var/lib/candor rw - ext4 /dev/sda1 rw",
        "1200 1187 8:1 /data/candor /var/lib/candor rw,relatime - xfs /dev/sda1 rw",
        "1200 1187 0:44 / /var/lib/candor rw - virtiofs kataShared rw",
    ],
)
def test_what_stays_is_taken(line: str) -> None:
    assert goes_with_the_pod(STATE, mounts(line)) == ""


def test_a_mount_point_is_read_with_its_spaces_and_whole_names() -> None:
    claim = r"1200 1187 259:3 / /var/lib/my\040state rw,relatime - ext4 /dev/nvme1n1 rw"
    assert goes_with_the_pod(Path("/var/lib/my state/candor"), mounts(claim)) == ""
    beside = "1200 1187 259:3 / /var/lib/candor rw,relatime - ext4 /dev/nvme1n1 rw"
    assert goes_with_the_pod(Path("/var/lib/candor-state"), mounts(beside)) == "the container's own layer"


def test_mounts_that_tell_nothing_refuse_nothing() -> None:
    assert goes_with_the_pod(STATE, "") == ""
    assert goes_with_the_pod(STATE, "no mounts at all\n\n1 2 3 - ext4\n") == ""


def test_in_a_pod_the_error_names_folder_and_mend_and_elsewhere_there_is_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(BASE)
    monkeypatch.setattr(durable, "_MOUNTS", table)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    require_durable(STATE, "every reply")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    with pytest.raises(CandorError, match="goes with the pod, and with it every reply") as caught:
        require_durable(STATE, "every reply")
    error = caught.value
    assert (error.reason, error.exit_code) == (Reason.STATE_NOT_DURABLE, ExitCode.BAD_DOCUMENT)
    for mend in (str(STATE), "PersistentVolumeClaim", "CANDOR_STATE", "CANDOR_LEDGER_URL", "--orchestrator"):
        assert mend in error.message
    monkeypatch.setattr(durable, "_MOUNTS", tmp_path / "none")
    require_durable(STATE, "every reply")
