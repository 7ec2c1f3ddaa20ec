"""A data set through the base model's own tokenizer and chat template; the same code for preflight and training."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chassis.errors import CandorError, Reason
from services.trainer.domain.conversations import Conversation, Turn, bad, read
from services.trainer.domain.labels import Example, label
from services.trainer.domain.spans import Rendered, derive, marked

_GENERATION = re.compile(r"\{%-?\s*generation\s*-?%\}")


@dataclass(frozen=True, slots=True)
class Tokenized:
    """A data set as tokens.

    Attributes:
        examples: Its conversations.
        template: `marked` or `derived`.
        with_special: Conversations whose own words hold a special token.
    """

    examples: Sequence[Example]
    template: str
    with_special: int


def load_tokenizer(base: str) -> Any:
    """The base model's tokenizer. Raises CandorError BAD_CHECKPOINT or BAD_TRAINING_DATA (no chat template)."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(base, local_files_only=True)
    except (OSError, ValueError) as error:
        message = f"the tokenizer of {Path(base).name} cannot be loaded: {_first_line(error)}"
        raise CandorError(Reason.BAD_CHECKPOINT, message) from error
    if not tokenizer.is_fast:
        message = (
            f"{Path(base).name} has a slow tokenizer, which does not say where its tokens lie; convert it to a fast one"
        )
        raise CandorError(Reason.BAD_CHECKPOINT, message)
    return tokenizer


def tokenize(base: str, dataset: str, max_length: int) -> Tokenized:
    """Read, render and tokenize. Raises CandorError BAD_TRAINING_DATA, BAD_CHECKPOINT."""
    tokenizer = load_tokenizer(base)
    template = _template(tokenizer, base)
    try:
        with Path(dataset).open(encoding="utf-8") as file:
            conversations = read(file)
    except UnicodeDecodeError as error:
        raise bad("is not UTF-8 text") from error
    special = _special(tokenizer)
    has_marks = _GENERATION.search(template) is not None
    examples = []
    for conversation in conversations:
        rendered = _rendered(conversation, tokenizer, template, special, has_marks=has_marks)
        tokens = tokenizer(rendered.text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        examples.append(label(rendered, tokens["input_ids"], tokens["offset_mapping"], max_length))
    with_special = sum(
        special is not None and any(special.search(turn.content) for turn in conversation.turns)
        for conversation in conversations
    )
    return Tokenized(examples, "marked" if has_marks else "derived", with_special)


def _template(tokenizer: Any, base: str) -> str:
    template = tokenizer.chat_template
    if isinstance(template, dict):
        template = template.get("default")
    if not template:
        message = f"the base model {Path(base).name} has no chat template; conversations cannot be rendered for it"
        raise CandorError(Reason.BAD_TRAINING_DATA, message)
    return str(template)


def _special(tokenizer: Any) -> re.Pattern[str] | None:
    """Matches any special token of the tokenizer, the longest first."""
    texts = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
    texts |= set(tokenizer.all_special_tokens)
    return re.compile("|".join(re.escape(text) for text in sorted(texts, key=len, reverse=True))) if texts else None


def _rendered(
    conversation: Conversation, tokenizer: Any, template: str, special: re.Pattern[str] | None, *, has_marks: bool
) -> Rendered:
    from jinja2 import TemplateError
    from transformers.utils import chat_template_utils

    library: Any = chat_template_utils  # its types are wrong

    def draw(turns: Sequence[Turn], *, prompt: bool, marks: bool) -> tuple[str, list[tuple[int, int]]]:
        messages = [{"role": turn.role, "content": turn.content} for turn in turns]
        try:
            texts, found = library.render_jinja_template(
                conversations=[messages],
                chat_template=template,
                add_generation_prompt=prompt,
                return_assistant_tokens_mask=marks,
                **tokenizer.special_tokens_map,
            )
        except TemplateError as error:
            message = f"the chat template refuses this conversation: {_first_line(error)}"
            raise bad(message, conversation.line) from error
        return texts[0], found[0] if found else []

    if has_marks:
        text, found = draw(conversation.turns, prompt=False, marks=True)
        return marked(conversation, text, found, special)
    return derive(conversation, lambda turns, prompt: draw(turns, prompt=prompt, marks=False)[0], special)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
