"""How the engine is started: settings -> command line, environment, and what of them belongs to an identity."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from chassis.errors import CandorError, Reason

SERVED_NAME = "base"
_HINT = "make setup-vllm, or on a GPU machine pip install vllm==0.32.0"
_SECRET = re.compile(r"(?i)key|token|secret|password|credential|^candor_")
_ENTRY = "vllm.entrypoints.launchers.api_server.entry"  # the console script of the CPU package is broken


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """What an operator chooses; the settings say what each does."""

    precision: str = "auto"
    max_engines: int = 1
    tensor_parallel_size: int = 1
    max_adapters: int = 8
    adapters_at_once: int = 4
    max_lora_rank: int = 16
    lora_target_modules: tuple[str, ...] = ()
    max_model_len: int = 0
    max_concurrency: int = 64
    kv_cache_gib: int = 1
    gpu_memory_share: float = 0.9
    enforce_eager: bool = False
    batch_invariant: bool = False
    start_seconds: float = 600.0
    stop_seconds: float = 20.0
    attempt_seconds: float = 120.0

    def for_build(self, build: Build) -> Mapping[str, str]:
        """Components of the identity: engine, precision and the settings that may shape arithmetic."""
        shaping = {
            "eager": self.enforce_eager or build.cpu,
            "batch_invariant": self.batch_invariant,
            "max_model_len": self.max_model_len or "of the model",
            "max_lora_rank": self.max_lora_rank,
            "adapters_at_once": self.adapters_at_once,
            "tensor_parallel_size": self.tensor_parallel_size,
        }
        said = ", ".join(f"{name} {str(value).lower()}" for name, value in shaping.items())
        return {"engine": build.name, "engine_settings": said, "precision": self.dtype(build)}

    def dtype(self, build: Build) -> str:
        """The precision with `auto` resolved."""
        if self.precision != "auto":
            return self.precision
        return "float32" if build.cpu else "bfloat16"

    def command(self, build: Build, folder: Path, port: int) -> list[str]:
        """The engine's command line; the key travels in the environment, where other users do not see it."""
        words = [sys.executable, "-m", _ENTRY, "--model", str(folder), "--served-model-name", SERVED_NAME]
        words += ["--host", "127.0.0.1", "--port", str(port), "--dtype", self.dtype(build)]
        # The folder's own sampling defaults would make replies differ from the same sampling elsewhere.
        words += ["--generation-config", "vllm", "--disable-uvicorn-access-log"]
        words += ["--max-num-seqs", str(self.max_concurrency)]
        words += ["--enable-lora", "--max-lora-rank", str(self.max_lora_rank)]
        words += ["--max-loras", str(self.adapters_at_once)]
        words += ["--max-cpu-loras", str(max(self.max_adapters, self.adapters_at_once) + 1)]
        # Named, because without names a request for prompt log-probabilities kills the engine.
        words += ["--lora-target-modules", *self.lora_target_modules]
        if self.tensor_parallel_size > 1:
            words += ["--tensor-parallel-size", str(self.tensor_parallel_size)]
        if self.max_model_len:
            words += ["--max-model-len", str(self.max_model_len)]
        if not build.cpu:
            words += ["--gpu-memory-utilization", str(self.gpu_memory_share)]
        if self.enforce_eager or build.cpu:
            words.append("--enforce-eager")
        return words

    def environment(self, build: Build, key: str) -> dict[str, str]:
        """The engine's environment: ours without secrets, and without what slows its start down."""
        left_out = {"PYTHONDONTWRITEBYTECODE"}  # without bytecode each start takes two minutes
        kept = {name: value for name, value in os.environ.items() if not _SECRET.search(name) and name not in left_out}
        kept |= {
            "VLLM_API_KEY": key,
            "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1",  # our own server, on loopback, behind a key
            "VLLM_NO_USAGE_STATS": "1",
            "HF_HUB_OFFLINE": "1",
        }
        if build.cpu:
            kept["VLLM_CPU_KVCACHE_SPACE"] = str(self.kv_cache_gib)
        if self.batch_invariant:
            kept["VLLM_BATCH_INVARIANT"] = "1"
        return kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """The installed vLLM."""

    name: str
    cpu: bool


def installed(options: EngineOptions) -> Build:
    """What is installed; looks at package records only. Raises CandorError BACKEND_MISSING."""
    for package in ("vllm", "vllm-cpu"):
        try:
            found = version(package)
        except PackageNotFoundError:
            continue
        cpu = package == "vllm-cpu" or found.endswith("+cpu")
        if cpu and options.batch_invariant:
            message = "vLLM has no batch-invariant mode on CPUs; unset CANDOR_INFERENCE_VLLM__BATCH_INVARIANT"
            raise CandorError(Reason.BACKEND_MISSING, message)
        name = f"vllm {found}, torch {version('torch')}, {'cpu' if cpu else 'gpu'}"
        return Build(name=name, cpu=cpu)
    raise CandorError(
        Reason.BACKEND_MISSING, f"the checkpoint backend vllm needs vLLM, which is not installed: {_HINT}"
    )
