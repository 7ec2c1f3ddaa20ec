"""Build Candor's images where no image registry can be reached: a stand-in base made from Debian packages, and wheels.

    python -m tools.containers.images TARGET...

People who have a registry use `make images`.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from chassis.version import VERSION
from tools.containers.podman import CommandError, Podman

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "deploy" / "docker" / "Dockerfile"
TAG = "test"
BASE = "localhost/candor/debian-python:bookworm"
_WHEELS = ROOT / "build" / "wheels"
_PACKAGES = "python3,python3-venv,ca-certificates"


def image(target: str) -> str:
    """The name of an image that this module builds."""
    return f"localhost/candor/{target}:{TAG}"


def build(podman: Podman, target: str, *, base: str = "", accelerator: str = "") -> float:
    """Build one target of the Dockerfile; returns the seconds it took.

    Args:
        podman: Runs the build.
        target: A service, `cli` or `operator`.
        base: Image with Python; default: the stand-in, made on first use.
        accelerator: Base of inference and trainer; default: the same as `base`.
    """
    base = base or debian(podman)
    wheels = _wheels()
    start = time.monotonic()
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as pip_conf:
        pip_conf.write("[install]\nno-index = true\n")
        pip_conf.flush()
        podman(
            *("build", "--pull=never", "--layers", "--file", str(DOCKERFILE), "--target", target),
            *("--build-arg", f"PYTHON_BASE={base}", "--build-arg", f"ACCELERATOR_BASE={accelerator or base}"),
            *("--build-arg", f"VERSION={VERSION}", "--build-context", f"wheels={wheels}"),
            *("--secret", f"id=pip,src={pip_conf.name}", "--tag", image(target), str(ROOT)),
        )
    return time.monotonic() - start


def unusable(podman: Podman) -> str:
    """Why images cannot be built and containers cannot be run here; empty if they can, which is tried."""
    if why := podman.unusable():
        return why
    try:
        podman("run", "--rm", "--network", "none", debian(podman), "true")
    except CommandError as error:
        return str(error)
    return ""


def debian(podman: Podman) -> str:
    """A Debian with Python and nothing else, in the place of a slim Python image; made on first use."""
    if not podman.succeeds("image", "exists", BASE):
        with tempfile.TemporaryDirectory() as folder:
            tar = Path(folder) / "base.tar"
            _call("mmdebstrap", "--quiet", "--variant=minbase", f"--include={_PACKAGES}", "bookworm", str(tar))
            podman("import", str(tar), BASE)
    return BASE


def _wheels() -> Path:
    """A folder with a wheel for every pin of the images, and what builds our own."""
    _WHEELS.mkdir(parents=True, exist_ok=True)
    files = [ROOT / "requirements" / f"{name}.txt" for name in ("services", "local", "dev")]
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    complete = _WHEELS / "complete"
    if complete.exists() and complete.read_text() == digest:
        return _WHEELS
    *pins, constraints = files
    pip = (sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:", "--dest", str(_WHEELS))
    _call(*pip, "--no-deps", *(word for pin in pins for word in ("--requirement", str(pin))))
    _call(*pip, "--constraint", str(constraints), "hatchling")
    complete.write_text(digest)
    return _WHEELS


def _call(*command: str) -> None:
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    if found.returncode:
        raise CommandError(f"{command[0]}: {found.stderr.strip()[-2000:]}")


def main(targets: list[str]) -> int:
    """Build the targets named on the command line."""
    podman = Podman()
    if why := unusable(podman):
        sys.stderr.write(f"{why}\n")
        return 69
    for target in targets:
        seconds = build(podman, target)
        size = int(podman("image", "inspect", "--format", "{{.Size}}", image(target)))
        sys.stdout.write(f"{image(target)}: {size / 1e6:.0f} MB, {seconds:.0f} s\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
