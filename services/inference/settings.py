"""Settings of the inference service; environment variables start with CANDOR_INFERENCE_."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic_settings import SettingsConfigDict

from chassis.egress import Egress
from chassis.llm import Policy
from chassis.settings import ServerSettings


class VllmSettings(BaseModel):
    """How vLLM engines are started; only for `checkpoint_backend: vllm`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_engines: int = Field(default=1, ge=1, description="engines at once, one for each base; a GPU holds one")
    tensor_parallel_size: int = Field(
        default=1, ge=1, description="GPUs that one engine shares a model among; part of the identity"
    )
    adapters_at_once: int = Field(default=4, ge=1, description="adapters that one step of the engine may mix")
    max_lora_rank: Literal[8, 16, 32, 64, 128, 256] = Field(default=16, description="largest rank of an adapter")
    lora_target_modules: tuple[str, ...] = Field(
        default=(
            *("q_proj", "k_proj", "v_proj", "o_proj", "qkv_proj"),
            *("gate_proj", "up_proj", "down_proj", "gate_up_proj"),
        ),
        min_length=1,
        description="modules that adapters may change",
    )
    max_model_len: int = Field(default=0, ge=0, description="tokens of prompt and reply together; 0: the model's own")
    kv_cache_gib: int = Field(default=1, ge=1, description="memory for running requests, on a CPU")
    gpu_memory_share: float = Field(default=0.9, gt=0, le=1, description="share of a GPU's memory that it takes")
    enforce_eager: bool = Field(default=False, description="no compiled graphs: slower, starts faster; always on a CPU")
    batch_invariant: bool = Field(
        default=False, description="replies do not depend on the batch, at a cost in speed; not on a CPU"
    )
    start_seconds: float = Field(default=600.0, gt=0, description="from its start to its first answer")
    stop_seconds: float = Field(default=20.0, gt=0, description="from being asked to end to being killed")


class InferenceSettings(ServerSettings):
    """Nested values take two underscores: CANDOR_INFERENCE_EGRESS__ALLOWED_HOSTS='["model-v1:8000"]'."""

    model_config = SettingsConfigDict(env_prefix="CANDOR_INFERENCE_", env_nested_delimiter="__", frozen=True)

    egress: Egress = Field(default_factory=Egress, description="hosts, credentials and folders that requests may name")
    max_endpoints: int = Field(default=256, ge=1, description="endpoints kept ready")
    max_checkpoints: int = Field(default=2, ge=1, description="checkpoints kept in memory")
    max_adapters: int = Field(default=8, ge=1, description="LoRA adapters kept in memory beside each checkpoint")
    initial_concurrency: int = Field(default=16, ge=1, description="requests under way to one server at the start")
    max_concurrency: int = Field(default=64, ge=1, le=1024, description="the most that adaptive growth may reach")
    max_attempts: int = Field(default=8, ge=1, description="requests for one reply at most")
    attempt_seconds: float = Field(default=120.0, gt=0, description="from sending a request to its whole reply")
    deadline_seconds: float = Field(default=600.0, gt=0, description="from the first request for a reply to giving up")
    down_after_failures: int = Field(
        default=8, ge=1, description="hopeless failures in a row that mean an endpoint is gone"
    )
    down_after_seconds: float = Field(default=30.0, ge=0, description="how long they must have lasted")
    checkpoint_backend: Literal["transformers", "vllm"] = Field(
        default="transformers",
        description="what runs checkpoints: in this process, or a vLLM server that it supervises",
    )
    vllm: VllmSettings = Field(default_factory=VllmSettings, description="how vLLM engines are started")
    device: str = Field(default="auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="where checkpoints run")
    precision: str = Field(
        default="auto", pattern="^(auto|float32|bfloat16|float16)$", description="auto: float32 on CPU, bfloat16 on GPU"
    )
    batch_rows: int = Field(default=32, ge=1, description="prompts that a checkpoint answers at once")
    torch_threads: int = Field(default=0, ge=0, description="threads of torch; 0 leaves its own choice")

    def policy(self) -> Policy:
        """How hard to try at an endpoint."""
        return Policy(
            max_attempts=self.max_attempts,
            attempt_seconds=self.attempt_seconds,
            deadline_seconds=self.deadline_seconds,
            initial_concurrency=self.initial_concurrency,
            max_concurrency=self.max_concurrency,
            down_after_failures=self.down_after_failures,
            down_after_seconds=self.down_after_seconds,
        )
