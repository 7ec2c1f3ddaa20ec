"""Settings of the trainer service; environment variables start with CANDOR_TRAINER_."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, Field
from pydantic_settings import SettingsConfigDict

from chassis.egress import Egress
from chassis.settings import ServerSettings


class KubernetesSettings(BaseModel):
    """How the `kubernetes` executor uses its cluster."""

    namespace: str = Field(default="", description="of the Jobs; empty: the trainer's own")
    kubeconfig: Path | None = Field(
        default=None, description="file that names the cluster; absent: the Pod's service account"
    )
    template: str = Field(default="training", description="PodTemplate that training Pods are made from")
    retries: int = Field(
        default=3, ge=0, description="Pods of a Job that may fail before it does; those taken away do not count"
    )
    ttl_seconds: int = Field(default=86_400, ge=0, description="how long a Job that came to its end is kept")
    max_running: int = Field(default=8, ge=1, description="Jobs on the cluster at once; the others wait")
    gpu_memory_bytes: int = Field(
        default=0, ge=0, description="memory of one GPU of the pool, for the preflight; 0: it is not judged"
    )
    place_seconds: float = Field(
        default=3600.0, gt=0, description="longest wait for a free GPU, a node or room in a quota"
    )
    fault_seconds: float = Field(
        default=600.0,
        gt=0,
        description="longest wait while an image, a volume or a Secret is missing, or the reports on the volume cannot be read",
    )
    queue_seconds: float = Field(default=86_400.0, gt=0, description="longest wait in the queue")
    poll_seconds: float = Field(default=5.0, gt=0, description="how often a Job is looked at")


class TrainerSettings(ServerSettings):
    """Nested values take two underscores: CANDOR_TRAINER_EGRESS__ARTIFACT_ROOTS='["/models"]'."""

    model_config = SettingsConfigDict(env_prefix="CANDOR_TRAINER_", env_nested_delimiter="__", frozen=True)

    egress: Egress = Field(
        default_factory=Egress, description="folders of base models and data sets, hosts and credentials of providers"
    )
    artifacts: Path = Field(
        default=Path(".candor/artifacts"),
        description="root that is shared with the other services; jobs lie in training, which one trainer at a time may hold",
    )
    executor: str = Field(
        default="process",
        pattern="^(process|kubernetes)$",
        description="how jobs train whose spec does not say: in a process of this machine, or as Jobs of a cluster",
    )
    kubernetes: KubernetesSettings = Field(default_factory=KubernetesSettings, description="the kubernetes executor")
    max_running: int = Field(default=1, ge=1, description="jobs that train here at once; the others wait")
    max_at_providers: int = Field(
        default=16, ge=1, description="jobs at providers at once, which have queues of their own; the others wait"
    )
    device: str = Field(default="auto", pattern="^(auto|cpu|cuda)$", description="where jobs train; auto takes a GPU")
    torch_threads: int = Field(default=0, ge=0, description="threads of torch in a job; 0 leaves its own choice")
    state_seconds: float = Field(default=60.0, ge=0, description="longest work that a crash may cost a job")
    stop_seconds: float = Field(default=60.0, gt=0, description="patience with a job that was told to stop")
    launch_arguments: tuple[str, ...] = Field(
        default=(), description="further arguments of accelerate launch, for jobs of several processes"
    )
    estimate_time: bool = Field(
        default=True, description="time a few steps before a job, to say how long it will take; costs some seconds"
    )
    poll_seconds: float = Field(default=15.0, gt=0, description="how often a provider's job is looked at")
