"""How the executor uses its cluster."""

from __future__ import annotations

from dataclasses import dataclass

from services.trainer.backends.kubernetes.manifest import Ways
from services.trainer.backends.kubernetes.standing import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The settings, as far as they concern the executor.

    Attributes:
        ways: How Jobs are run.
        template: Name of the PodTemplate.
        gpu_memory_bytes: Of one GPU of the pool; 0: not known.
        place_seconds: Longest wait for a node or for room in a quota.
        fault_seconds: Longest wait while something is wrong with image, volume or container.
        queue_seconds: Longest wait in a queue.
        poll_seconds: How often the Job is looked at.
        tail_seconds: How often the reports are read.
        stop_seconds: Patience with a Pod that was told to end, beyond its grace.
        device: Of Pods that have no GPU: `auto`, `cpu`, `cuda`.
        threads: Of torch; 0 leaves its own choice.
        state_seconds: Longest work that a lost Pod may cost.
        launch_arguments: Further arguments of accelerate launch.
    """

    ways: Ways
    template: str
    gpu_memory_bytes: int = 0
    place_seconds: float
    fault_seconds: float
    queue_seconds: float
    poll_seconds: float
    tail_seconds: float = 0.5
    stop_seconds: float = 60.0
    device: str = "auto"
    threads: int = 0
    state_seconds: float = 60.0
    launch_arguments: tuple[str, ...] = ()

    def patience(self, kind: Kind) -> tuple[float, str]:
        """Longest wait of a kind, and the setting that says so."""
        seconds, name = {
            Kind.QUEUED: (self.queue_seconds, "QUEUE"),
            Kind.FAULT: (self.fault_seconds, "FAULT"),
        }.get(kind, (self.place_seconds, "PLACE"))
        return seconds, f"CANDOR_TRAINER_KUBERNETES__{name}_SECONDS"
