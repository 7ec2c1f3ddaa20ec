"""Podman's command line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CONF = Path(__file__).with_name("containers.conf")
_PACKAGES = "podman buildah runc netavark aardvark-dns iptables catatonit uidmap fuse-overlayfs mmdebstrap"


class CommandError(Exception):
    """A command failed; the message has its last words."""


@dataclass(frozen=True, slots=True)
class Podman:
    """Runs podman with our configuration."""

    binary: str = "podman"

    def unusable(self) -> str:
        """Why images cannot be built and containers cannot be run here; empty if they can."""
        missing = [name for name in (self.binary, "runc", "mmdebstrap") if shutil.which(name) is None]
        if missing:
            return f"not installed: {', '.join(missing)} (Debian: apt-get install --no-install-recommends {_PACKAGES})"
        if os.geteuid() != 0:
            return "podman networks and mmdebstrap need root here"
        found = self._run(["info", "--format", "{{.Host.NetworkBackend}}"])
        if found.returncode:
            return f"podman does not work here: {_last(found.stderr)}"
        if found.stdout.strip() != "netavark":
            return "podman's network backend is not netavark, so its networks have no DNS"
        return ""

    def __call__(self, *arguments: str, stdin: str | None = None) -> str:
        """Standard output of a command. Raises CommandError."""
        found = self._run(arguments, stdin)
        if found.returncode:
            raise CommandError(f"podman {' '.join(arguments[:2])}: {_last(found.stderr)}")
        return found.stdout.strip()

    def succeeds(self, *arguments: str) -> bool:
        """Whether a command ends with 0."""
        return self._run(arguments).returncode == 0

    def inspect(self, name: str) -> dict[str, Any]:
        """What podman says of a container."""
        found: dict[str, Any] = json.loads(self("container", "inspect", name))[0]
        return found

    def logs(self, name: str) -> str:
        """Standard output and errors of a container."""
        found = self._run(["logs", name])
        return found.stdout + found.stderr

    def _run(
        self, arguments: tuple[str, ...] | list[str], stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "CONTAINERS_CONF": os.environ.get("CONTAINERS_CONF", str(CONF))}
        return subprocess.run(
            [self.binary, *arguments], env=environment, input=stdin, capture_output=True, text=True, check=False
        )


def _last(text: str) -> str:
    return "\n".join(text.strip().splitlines()[-12:])
