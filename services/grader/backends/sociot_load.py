"""Load a scorer's weights and tokenizer from a folder or the hub, or say how to mend it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from chassis.errors import CandorError, Reason
from chassis.text import plain
from services.grader.backends.sociot_model import SociotModel

DTYPES = ("float32", "bfloat16")


def load(source: str, dtype: str = "float32", device: str = "cpu", threads: int = 0) -> SociotModel:
    """A scorer ready to read.

    Args:
        source: Hub id or folder of a causal LM with safetensors weights and a tokenizer.
        dtype: One of DTYPES.
        device: A torch device.
        threads: Threads of torch; 0 leaves torch's own choice.

    Raises:
        CandorError: BACKEND_MISSING (no torch or transformers that loads), SCORER_NOT_FOUND (nothing that can be
            loaded there).
    """
    try:
        import torch
        import transformers
    except (ImportError, OSError, ValueError) as error:  # the last two: torch without the CUDA libraries of its build
        raise CandorError(
            Reason.BACKEND_MISSING,
            f"Warmth scores need torch and transformers, which do not load here ({plain(str(error))}): "
            "pip install '.[local]', with everything that they depend on",
        ) from error
    if threads:
        torch.set_num_threads(threads)
    progress: Any = transformers.utils.logging
    progress.disable_progress_bar()  # a scorer is loaded in the middle of somebody's output
    try:
        config = transformers.AutoConfig.from_pretrained(source, trust_remote_code=False)
        if getattr(config, "activation_function", "") == "gelu_new":
            config.activation_function = "gelu_pytorch_tanh"  # the same function as one kernel instead of seven
        tokenizer = transformers.AutoTokenizer.from_pretrained(source, trust_remote_code=False)
        model = transformers.AutoModelForCausalLM.from_pretrained(
            source, config=config, dtype=getattr(torch, dtype), use_safetensors=True, trust_remote_code=False
        )
    except (OSError, ValueError, KeyError) as error:
        raise CandorError(Reason.SCORER_NOT_FOUND, _mend(source), metadata={"model": source}) from error
    if not tokenizer.is_fast:
        raise CandorError(
            Reason.SCORER_NOT_FOUND,
            f"The tokenizer of scorer {source} does not say where its tokens lie in the text; save it with a tokenizer.json.",
            metadata={"model": source},
        )
    placed: Any = model
    return SociotModel(placed.to(device), tokenizer)


def _mend(source: str) -> str:
    if Path(source).is_dir():
        return (
            f"The folder {source} holds no causal language model that transformers can load with safetensors weights; "
            "save one there with save_pretrained, and its tokenizer beside it."
        )
    from huggingface_hub import constants

    reach = (
        "HF_HUB_OFFLINE is set and it is not in the local cache"
        if constants.HF_HUB_OFFLINE
        else "it is neither a folder here nor a model on the hub that can be reached"
    )
    return f"Scorer {source} was not found: {reach}. Name a folder with a saved causal language model, such as GPT-2."
