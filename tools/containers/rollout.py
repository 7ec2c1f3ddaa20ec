"""Replicas of one template, and their replacement one by one."""

from __future__ import annotations

import itertools

from tools.containers.pods import Network, Pod
from tools.containers.template import Template


class Deployment:
    """Replicas with names of their own; a restart starts one more, waits until it is ready, then ends an old one.

    That is `maxSurge: 1` and `maxUnavailable: 0`.
    """

    def __init__(self, network: Network, template: Template, name: str) -> None:
        self._network = network
        self._template = template
        self._names = (f"{name}-{number}" for number in itertools.count())
        self.pods: list[Pod] = []

    def scale(self, replicas: int) -> None:
        """Start replicas until there are so many, and wait until all are ready."""
        fresh = [self._network.start(self._template, next(self._names)) for _ in range(replicas - len(self.pods))]
        for pod in fresh:
            self._network.admit(pod)
        self.pods += fresh

    def restart(self) -> list[int]:
        """Replace every replica; returns the old ones' exit codes."""
        codes = []
        for old in list(self.pods):
            self.scale(len(self.pods) + 1)
            self.pods.remove(old)
            codes.append(self._network.stop(old))
        return codes
