"""Pods on a podman network whose DNS knows each Service by name: a headless Service and its ready replicas, without a cluster."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tools.containers.podman import CommandError, Podman
from tools.containers.template import Template

_SECONDS = 120.0
_POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Pod:
    """A container made from a template.

    Attributes:
        name: As in Kubernetes; the container's name has its network's before it.
        container: The container's name.
        address: On the network.
        template: What it was made from.
    """

    name: str
    container: str
    address: str
    template: Template


class Network:
    """A podman network and the pods on it.

    Args:
        podman: Runs the containers.
        name: Of the network; made by `open`, removed with its pods by `close`.
        image: Which image of ours stands for a target's.

    Attributes:
        stands_for: Images here by the names, without tags, of others that templates name.
    """

    def __init__(self, podman: Podman, name: str, image: Callable[[str], str]) -> None:
        self._podman = podman
        self.name = name
        self._image = image
        self.stands_for: dict[str, str] = {}

    def open(self) -> None:
        """Make the network."""
        self._podman("network", "create", self.name)

    def close(self) -> None:
        """End its pods at once, and remove it."""
        self._podman("network", "rm", "--force", "--time", "0", self.name)

    def start(self, template: Template, name: str) -> Pod:
        """Start a pod. Its Services do not know it before `admit`."""
        named = template.container["image"].rpartition(":")[0]
        image = self.stands_for.get(named) or self._image(named.removeprefix("candor/"))
        words = template.arguments(name, image)
        container = f"{self.name}-{name}"
        self._podman("create", "--name", container, "--network", self.name, *words)
        self._podman("start", container)
        return Pod(name, container, self._on_network(container)["IPAddress"], template)

    def admit(self, pod: Pod) -> None:
        """Wait until it is ready, then let its Services' names lead to it.

        Raises:
            CommandError: It ended, or was not ready in time; with its log.
        """
        eventually(lambda: self._is_ready(pod), lambda: f"{pod.name} is not ready\n{self.logs(pod)}")
        services = pod.template.objects.services_of(pod.template.metadata.get("labels", {}))
        # Its addresses stay the same, so its connections go on.
        mac = self._on_network(pod.container)["MacAddress"]
        self._podman("network", "disconnect", self.name, pod.container)
        aliases = [word for service in services for word in ("--alias", service)]
        same = ("--ip", pod.address, "--mac-address", mac)
        self._podman("network", "connect", *same, *aliases, self.name, pod.container)

    def stop(self, pod: Pod) -> int:
        """What the kubelet does with a pod that is deleted: preStop, SIGTERM, and SIGKILL when its grace is over.

        Returns:
            The container's exit code.
        """
        grace = pod.template.spec.get("terminationGracePeriodSeconds", 30)
        pause = pod.template.container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        time.sleep(pause)
        self._podman("stop", "--time", str(grace - pause), pod.container)
        code = int(self._podman.inspect(pod.container)["State"]["ExitCode"])
        self._podman("rm", pod.container)
        return code

    def logs(self, pod: Pod) -> str:
        """What a pod has written."""
        return self._podman.logs(pod.container)

    def _on_network(self, container: str) -> dict[str, str]:
        return dict(self._podman.inspect(container)["NetworkSettings"]["Networks"][self.name])

    def _is_ready(self, pod: Pod) -> bool:
        state = self._podman.inspect(pod.container)["State"]
        if not state["Running"]:
            raise CommandError(f"{pod.name} ended with {state['ExitCode']}\n{self.logs(pod)}")
        probe = pod.template.container["readinessProbe"]
        if command := probe.get("exec", {}).get("command"):
            return self._podman.succeeds("exec", pod.container, *command)
        if port := probe.get("tcpSocket", {}).get("port"):
            return accepts(pod.address, pod.template.port(port))
        return serving(f"{pod.address}:{pod.template.port(probe['grpc']['port'])}", probe["grpc"].get("service", ""))


def eventually(condition: Callable[[], bool], otherwise: Callable[[], str]) -> None:
    """Wait for a condition. Raises CommandError with what `otherwise` says when it takes too long."""
    end = time.monotonic() + _SECONDS
    while not condition():
        if time.monotonic() > end:
            raise CommandError(otherwise())
        time.sleep(_POLL_SECONDS)


def accepts(host: str, port: int) -> bool:
    """Whether a port takes connections."""
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def serving(address: str, service: str) -> bool:
    """Whether a gRPC health service says SERVING of a service, asked over a connection of its own as the kubelet does."""
    with grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        try:
            found = health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(service=service), timeout=2, wait_for_ready=True
            )
        except grpc.RpcError:
            return False
    return bool(found.status == health_pb2.HealthCheckResponse.SERVING)
