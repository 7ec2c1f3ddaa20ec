"""A real checkpoint of random weights in well under a megabyte: a Llama shape, byte tokens, a chat template."""

from __future__ import annotations

from pathlib import Path
from typing import Any

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ message['role'][0] }}: {{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}a: {% endif %}"
)


def make_tiny_checkpoint(
    folder: Path, *, seed: int = 0, hidden: int = 32, layers: int = 2, max_tokens: int = 256
) -> Path:
    """Write config, tokenizer and safetensors weights into `folder`; needs torch and transformers.

    Args:
        folder: Made if need be.
        seed: Of the weights; another seed is another model.
        hidden: Width, a multiple of 4.
        layers: Depth.
        max_tokens: Longest prompt and reply together.
    """
    import torch
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    library: Any = transformers  # untyped
    library.utils.logging.disable_progress_bar()
    special = ["<pad>", "<s>", "</s>"]
    words = [*special, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    core = Tokenizer(models.BPE({word: number for number, word in enumerate(words)}, []))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    tokenizer = library.PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token=special[0], bos_token=special[1], eos_token=special[2]
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.save_pretrained(folder)
    config = library.LlamaConfig(
        vocab_size=len(words),
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=4,
        max_position_embeddings=max_tokens,
        initializer_range=0.4,  # wide, so that replies differ and greedy ones do not loop at once
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        library.LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def make_tiny_adapter(base: Path, folder: Path, *, seed: int = 0, rank: int = 4, alive: bool = True) -> Path:
    """Write a LoRA adapter of random weights for a checkpoint into `folder`, as PEFT does; needs peft.

    Args:
        base: The checkpoint's folder.
        folder: Made if need be.
        seed: Of the weights; another seed is another adapter.
        rank: Of the matrices.
        alive: False leaves B at zero: an adapter that changes nothing.
    """
    import peft
    import torch
    import transformers

    library: Any = transformers  # untyped
    library.utils.logging.disable_progress_bar()
    model = library.AutoModelForCausalLM.from_pretrained(base)
    config = peft.LoraConfig(
        r=rank,
        lora_alpha=2 * rank,
        target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
        init_lora_weights=not alive,
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        peft.get_peft_model(model, config).save_pretrained(str(folder))
    return folder
