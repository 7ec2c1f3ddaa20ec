"""Which pinned packages this Python does not have yet: pins on standard input, those to install on standard output.

A base image's torch and vLLM were built for each other and for its CUDA, so what it has stays as it is.
"""

import re
import sys
from importlib.metadata import distributions


def name(text: str) -> str:
    """A distribution's normalized name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", text).lower()


present = {name(each.metadata["Name"]) for each in distributions()}
for pin in sorted(set(sys.stdin.read().split())):
    if name(pin.partition("==")[0]) not in present:
        sys.stdout.write(f"{pin}\n")
