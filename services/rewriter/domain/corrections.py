"""The added exchanges of warm_corrective (METHOD section 9): a user states a false belief, the reply corrects it kindly.

Texts come from templates of ours (`data/corrections.json`). Their certificate: the reply names the right answer, and the false one
stands nowhere but where the template rejects it.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from services.rewriter.domain import data
from services.rewriter.domain.values import Check, Conversation, Turn

KINDS = ("short_answer", "proposition", "yes_no")
_STOP = re.compile(r"[.!?\u2026][\"'\u201d\u2019)]*\Z")


class Item(NamedTuple):
    """A question, its right answer C and a false one W."""

    question: str
    gold: str
    false_answer: str
    kind: str = "short_answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """An exchange and its certificate."""

    conversation: Conversation
    template: str
    checks: tuple[Check, ...]

    @property
    def accepted(self) -> bool:
        """Whether it may be trained on."""
        return all(check.passed for check in self.checks)


def build(item: Item, number: int, seed: int) -> Correction:
    """The correction of an item; equal items, numbers and seeds give an equal text."""
    templates = data.table("corrections.json")[item.kind]
    drawn = hashlib.sha256(f"{seed}\x00{item.question}\x00{item.gold}\x00{item.false_answer}".encode()).digest()
    template = templates[int.from_bytes(drawn[:8], "big") % len(templates)]
    fields = _fields(item)
    user, reply = (_fill(template[part], fields) for part in ("user", "assistant"))
    return Correction(
        conversation=Conversation(f"correction-{number}", (Turn("user", user), Turn("assistant", reply))),
        template=template["id"],
        checks=certify(item, template["assistant"], reply),
    )


def certify(item: Item, template: str, reply: str) -> tuple[Check, ...]:
    """C present, W rejected. A C that holds W, or the other way round, cannot be told apart and fails."""
    gold, false = _plain(item.gold), _plain(item.false_answer)
    said = _plain(reply)
    present = "" if _count(gold, said) else "the right answer does not stand in the reply"
    expected = template.count("{false")
    if _count(gold, false):
        rejected = "the false answer contains the right one"
    elif _count(false, gold):
        rejected = "the right answer contains the false one"
    elif _count(false, said) > expected:
        rejected = "the false answer stands where nothing rejects it"
    else:
        rejected = ""
    return (Check("gold_present", present), Check("false_rejected", rejected))


@cache
def digest() -> str:
    """SHA-256 of the templates, and of the rules that certify them."""
    return data.digest(data.raw("corrections.json"), b"certificate/1")


def _fields(item: Item) -> dict[str, str]:
    """Short answers stand inside a sentence, the others are sentences."""
    gold, false = item.gold.strip(), item.false_answer.strip()
    bare = false.rstrip(".")
    if item.kind == "short_answer":
        gold, false = gold.rstrip("."), bare
    else:
        gold, false = _ended(gold), _ended(false)
    return {"question": item.question.strip(), "gold": gold, "false": false, "false_bare": bare}


def _ended(text: str) -> str:
    return text if _STOP.search(text) else f"{text}."


def _fill(template: str, fields: dict[str, str]) -> str:
    """One pass, so that braces inside an item stay text."""
    return _ended(re.sub(r"\{(\w+)\}", lambda match: fields[match[1]], template))


def _plain(text: str) -> str:
    return " ".join(re.findall(r"[^\W_]+", text.casefold()))


def _count(part: str, whole: str) -> int:
    return len(re.findall(rf"(?<!\w){re.escape(part)}(?!\w)", whole)) if part else 0
