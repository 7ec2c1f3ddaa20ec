"""What an installed package needs and this Python does not have: its requirements on standard output, one a line.

Setuptools is left out: torch names it for building extensions, and nothing is built in an image.
"""

import sys
from importlib.metadata import PackageNotFoundError, distribution, requires

from packaging.requirements import Requirement


def here(name: str) -> bool:
    """Whether a distribution is installed."""
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


for text in requires(sys.argv[1]) or []:
    need = Requirement(text)
    applies = need.marker is None or need.marker.evaluate({"extra": ""})
    if applies and need.name != "setuptools" and not here(need.name):
        sys.stdout.write(f"{text}\n")
