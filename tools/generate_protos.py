"""Generate the stubs under gen/ from protos/. Run: python tools/generate_protos.py [--out DIR | --check | --accept].

The descriptor set beside the protos is the baseline of the breaking-change test: `--accept` rewrites it.
"""

from __future__ import annotations

import argparse
import importlib.resources
import sys
import tempfile
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"
BASELINE = PROTOS / "baseline.binpb"


def includes() -> list[str]:
    """Import roots: ours, protobuf's own, and googleapis' (shipped by googleapis-common-protos)."""
    import google.rpc

    googleapis = Path(next(iter(google.rpc.__path__))).parent.parent
    well_known = importlib.resources.files("grpc_tools") / "_proto"
    return [f"-I{PROTOS}", f"-I{well_known}", f"-I{googleapis}"]


def sources() -> list[str]:
    """Every proto of ours, in a stable order."""
    return sorted(str(path.relative_to(PROTOS)) for path in PROTOS.rglob("*.proto"))


def run(arguments: list[str]) -> None:
    """Run protoc or exit with its status."""
    if status := protoc.main(["protoc", *includes(), *arguments, *sources()]):
        sys.exit(status)


def generate(out: Path) -> None:
    """Write all stubs under `out`."""
    out.mkdir(parents=True, exist_ok=True)
    here = Path(sys.executable).parent  # the plugins lie beside the interpreter, on the PATH or not
    plugins = [f"--plugin={name}={here / name}" for name in ("protoc-gen-mypy", "protoc-gen-mypy_grpc")]
    outputs = [
        f"--python_out={out}",
        f"--grpc_python_out={out}",
        f"--mypy_out={out}",
        f"--mypy_grpc_out=only_async:{out}",
    ]
    run([*plugins, *outputs])


def drift() -> list[str]:
    """Files under gen/ that differ from what the protos give now."""
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder)
        generate(fresh)
        names = {path.relative_to(fresh) for path in fresh.rglob("*.py*") if path.is_file()}
        committed = ROOT / "gen"
        names |= {
            path.relative_to(committed) for path in committed.rglob("*_pb2*.py*") if "__pycache__" not in path.parts
        }
        return sorted(str(name) for name in names if _read(fresh / name) != _read(committed / name))


def _read(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def main() -> None:
    """Parse the command line and write the stubs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "gen")
    parser.add_argument("--check", action="store_true", help="exit 1 when gen/ differs from the protos")
    parser.add_argument("--descriptors", type=Path, help="write a descriptor set here instead of stubs")
    parser.add_argument("--accept", action="store_true", help="accept the protos as the new compatibility baseline")
    options = parser.parse_args()
    if options.accept:
        options.descriptors = BASELINE
    if options.descriptors:
        run([f"--descriptor_set_out={options.descriptors}", "--include_imports"])
        return
    if options.check:
        if stale := drift():
            sys.exit("stale stubs, run python tools/generate_protos.py: " + ", ".join(stale))
        return
    generate(options.out)


if __name__ == "__main__":
    main()
