"""Weights from a folder into memory: safetensors only, no code from the folder, nothing from the network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chassis.errors import CandorError, Reason
from chassis.text import plain
from services.inference.backends.transformers.engine import Engine

_HINT = "pip install '.[local]', with everything that it depends on"


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A model ready to answer. `longest` is the most tokens that a prompt and its reply may have together."""

    engine: Engine
    tokenizer: Any
    longest: int


def place(device: str, precision: str) -> tuple[str, str]:
    """(device, precision) with `auto` resolved. Raises CandorError BACKEND_MISSING."""
    torch = _torch()
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if precision == "auto":
        precision = "float32" if device == "cpu" else "bfloat16"
    return device, precision


def engine_name(device: str) -> str:
    """Versions that shape arithmetic, for the identity."""
    from importlib.metadata import version

    return f"transformers {version('transformers')}, torch {_torch().__version__}, {device.partition(':')[0]}"


def load(folder: Path, device: str, precision: str) -> Loaded:
    """Read a checkpoint. Raises CandorError BAD_CHECKPOINT or BACKEND_MISSING."""
    torch = _torch()
    try:
        import transformers
        from safetensors import SafetensorError
    except ImportError as error:
        raise _missing("transformers and safetensors", error) from error

    progress: Any = transformers.utils.logging  # untyped
    progress.disable_progress_bar()
    safe = {"local_files_only": True, "trust_remote_code": False}
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **safe)
        loaded: Any = transformers.AutoModelForCausalLM.from_pretrained(
            folder, dtype=getattr(torch, precision), use_safetensors=True, output_loading_info=True, **safe
        )
        model, report = loaded
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise _bad(f"it cannot be loaded: {plain(str(error))}") from error
    if missing := sorted(report["missing_keys"]):
        named = ", ".join(missing[:3])
        raise _bad(f"{len(missing)} weights are missing ({named}); they would be random: save the whole model")
    if not tokenizer.chat_template:
        raise _bad("it has no chat template; put the one of its base model into chat_template.jinja")
    ends = _ends(model, tokenizer)
    if not ends:
        raise _bad("no end token is named; set eos_token_id in generation_config.json")
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else min(ends)
    longest = getattr(model.config, "max_position_embeddings", None) or tokenizer.model_max_length
    model.to(device).eval()
    return Loaded(engine=Engine(model=model, ends=ends, pad=pad), tokenizer=tokenizer, longest=int(longest))


def _ends(model: Any, tokenizer: Any) -> frozenset[int]:
    found = {tokenizer.eos_token_id}
    for config in (model.generation_config, model.config):
        value = getattr(config, "eos_token_id", None)
        found.update(value if isinstance(value, list) else [value])
    return frozenset(token for token in found if token is not None)


def _torch() -> Any:
    try:
        import torch
    except (ImportError, OSError, ValueError) as error:  # the last two: torch without the CUDA libraries of its build
        raise _missing("torch", error) from error
    return torch


def _missing(package: str, error: Exception) -> CandorError:
    message = f"checkpoints need {package}, which does not load here ({plain(str(error))}): {_HINT}"
    return CandorError(Reason.BACKEND_MISSING, message)


def _bad(what: str) -> CandorError:
    return CandorError(Reason.BAD_CHECKPOINT, f"model.checkpoint.path: {what}")
