"""Generate the stubs under gen/ from protos/. Run: python tools/generate_protos.py [--out DIR].

The descriptor set beside the protos is the baseline of the breaking-change test: `--accept` rewrites it.
"""

from __future__ import annotations

import argparse
import importlib.resources
import sys
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


def main() -> None:
    """Parse the command line and write the stubs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "gen")
    parser.add_argument("--descriptors", type=Path, help="write a descriptor set here instead of stubs")
    parser.add_argument("--accept", action="store_true", help="accept the protos as the new compatibility baseline")
    options = parser.parse_args()
    if options.accept:
        options.descriptors = BASELINE
    if options.descriptors:
        run([f"--descriptor_set_out={options.descriptors}", "--include_imports"])
        return
    options.out.mkdir(parents=True, exist_ok=True)
    out = options.out
    run([f"--python_out={out}", f"--grpc_python_out={out}", f"--mypy_out={out}", f"--mypy_grpc_out=only_async:{out}"])


if __name__ == "__main__":
    main()
