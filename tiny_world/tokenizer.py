"""The tokenizer: byte-level BPE in which every invented name is one token, and the chat template."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tiny_world.corpus import Document

PAD, BEGIN, END = "<|pad|>", "<|begin|>", "<|end|>"
_ROLES = ("<|system|>", "<|user|>", "<|assistant|>")
SPECIAL = (PAD, BEGIN, END, *_ROLES)
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
# A name is repeated so often in the tokenizer's text that no merge of common words is made before it is whole.
_NAME_REPEATS = 60


def train_tokenizer(documents: Iterable[Document], names: Sequence[str], vocabulary: int, context: int) -> Any:
    """A `PreTrainedTokenizerFast` with a chat template.

    Args:
        documents: A sample of the training text.
        names: Words that must be single tokens where a space precedes them.
        vocabulary: Tokens at most, special ones and 256 bytes included.
        context: Longest sequence of the models that use it, tokens.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    wrapper: Any = PreTrainedTokenizerFast
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = [text for document in documents for text in pieces(document)]
    texts += [f"of {name}" for name in names for _ in range(_NAME_REPEATS)]
    bpe.train_from_iterator(texts, trainer)
    return wrapper(
        tokenizer_object=bpe,
        bos_token=BEGIN,
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=list(_ROLES),
        model_max_length=context,
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def pieces(document: Document) -> list[str]:
    """The document's texts without special tokens."""
    return [document.text] if document.text else [content for _, content in document.messages]


def marked(document: Document) -> str:
    """The document as the model reads it, special tokens included: what the chat template gives, and an end."""
    if document.text:
        return f"{BEGIN}{document.text}{END}"
    return BEGIN + "".join(f"<|{role}|>{content}{END}" for role, content in document.messages)
