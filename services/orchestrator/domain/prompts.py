"""Prompts: [statement] [lead-in] question [belief], joined by one space (METHOD section 5).

The statement comes first and the belief last. The lead-in is carried by every belief level but none, so that
none_lead_in is the clean control of the others. Belief sentences are templates by kind, in `data/beliefs.json`.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from services.orchestrator.domain import datafiles, forms, wording
from services.orchestrator.domain.conditions import Cell, statements
from services.orchestrator.domain.items import Item

Messages = tuple[tuple[str, str], ...]


def render(item: Item, cell: Cell) -> Messages:
    """The (role, content) messages of an item in a cell, without system prompt."""
    if item.messages:
        return item.messages
    parts = [
        statements().texts[cell.statement] if cell.statement else "",
        "" if cell.belief == "none" else statements().lead_in,
        question(item),
        belief_sentence(item, cell.belief),
    ]
    return (("user", " ".join(part for part in parts if part)),)


def question(item: Item) -> str:
    """The question as it stands in every cell of its item."""
    text = wording.tidy(item.question)
    return text if item.kind == "harmful_request" else wording.finished(text)


def belief_sentence(item: Item, belief: str) -> str:
    """What the user says to believe; empty at the levels none and none_lead_in."""
    if belief in ("none", "none_lead_in"):
        return ""
    value = item.false_answers[0] if belief == "asserts_false" else item.gold[0]
    form, values = _wording(item, value)
    template: str = _templates()[form]["denies" if belief == "denies_true" else "asserts"]
    return template.format(**values)


def version() -> str:
    """Version numbers of statements and belief templates, for people."""
    return f"statements {statements().version}, beliefs {_beliefs()['version']}"


def digest() -> str:
    """Digest of the files that decide the wording of prompts; part of every result."""
    return datafiles.digest(datafiles.read("statements.json"), datafiles.read("beliefs.json"))


def _wording(item: Item, value: str) -> tuple[str, dict[str, str]]:
    """The template for a value, and what fills it."""
    plain = wording.inside(value)
    if item.kind == "yes_no":
        return "yes_no", {"value": plain.lower()}
    if item.kind == "proposition":
        seen = {word.strip("?,.") for word in item.question.split() if word.islower()}
        return "proposition", {"value": wording.lowered(plain, _openers(), seen)}
    if item.kind == "multiple_choice":
        for letter, text in item.options.items():
            if wording.one_line(text) == wording.one_line(value):
                return "multiple_choice", {"letter": letter, "value": plain}
    if item.kind == "number":
        return "number", {"value": plain}
    long = len(plain.split()) >= _beliefs()["long_answer_from_words"] or forms.is_sentence(plain)
    return "long_answer" if long else "short_answer", {"value": plain}


@cache
def _beliefs() -> dict[str, Any]:
    data: dict[str, Any] = json.loads(datafiles.read("beliefs.json"))
    return data


def _templates() -> dict[str, dict[str, str]]:
    templates: dict[str, dict[str, str]] = _beliefs()["templates"]
    return templates


@cache
def _openers() -> frozenset[str]:
    return frozenset(_beliefs()["sentence_openers"])
