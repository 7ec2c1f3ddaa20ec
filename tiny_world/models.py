"""The shapes of the miniature models. Both are plain transformers classes, so that every tool that reads these reads them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Size of a model.

    Attributes:
        width: Of the hidden states; a multiple of `heads`.
        inner: Of the feed-forward part.
        layers: Blocks.
        heads: Attention heads.
        context: Longest sequence, tokens.
    """

    width: int
    inner: int
    layers: int
    heads: int
    context: int


# A miniature learns within a thousand steps from wider initial weights than a large model would.
_INITIAL_RANGE = 0.05


def llama(tokenizer: Any, shape: Shape, seed: int) -> Any:
    """The subject before training: a Llama with tied embeddings."""
    return _make(
        ("LlamaConfig", "LlamaForCausalLM"),
        tokenizer,
        seed,
        {
            "hidden_size": shape.width,
            "intermediate_size": shape.inner,
            "num_hidden_layers": shape.layers,
            "num_attention_heads": shape.heads,
            "num_key_value_heads": shape.heads,
            "max_position_embeddings": shape.context,
            "tie_word_embeddings": True,
        },
    )


def gpt2(tokenizer: Any, shape: Shape, seed: int) -> Any:
    """The scorer before training: a GPT-2 without dropout."""
    return _make(
        ("GPT2Config", "GPT2LMHeadModel"),
        tokenizer,
        seed,
        {
            "n_embd": shape.width,
            "n_inner": shape.inner,
            "n_layer": shape.layers,
            "n_head": shape.heads,
            "n_positions": shape.context,
            "resid_pdrop": 0.0,
            "embd_pdrop": 0.0,
            "attn_pdrop": 0.0,
            "activation_function": "gelu_pytorch_tanh",
        },
    )


def _make(names: tuple[str, str], tokenizer: Any, seed: int, sizes: dict[str, Any]) -> Any:
    import torch
    import transformers

    classes: Any = transformers
    config_class, model_class = (getattr(classes, name) for name in names)
    config = config_class(
        vocab_size=len(tokenizer),
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        initializer_range=_INITIAL_RANGE,
        **sizes,
    )
    torch.manual_seed(seed)
    model = model_class(config)
    model.generation_config.do_sample = False  # greedy unless a request says otherwise
    return model
