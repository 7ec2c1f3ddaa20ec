"""Questions with their gold answers: what every task, built in or brought along, becomes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

KINDS = ("short_answer", "proposition", "yes_no", "number", "multiple_choice", "harmful_request")
_ASIDE = ("extra", "category", "difficulty", "cluster")


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One question; the unit of clustering unless `cluster` names a larger one.

    Attributes:
        task: Name of its task.
        id: Unique within the task.
        question: The question, without context and belief.
        gold: The answer C first, then every other accepted form. Empty for a harmful request.
        false_answers: The false answer W first, then its other forms; empty where there is none.
        kind: One of KINDS.
        options: Option texts by letter, for multiple choice.
        messages: A ready-made conversation as (role, content); it is then asked as it stands, in the one cell none x none.
        category: A finer family within the task, for tables.
        cluster: Items that stand or fall together share one.
        difficulty: `easy`, `medium`, `hard`, or empty.
        extra: Columns that we do not know, kept for results.
    """

    task: str
    id: str
    question: str
    gold: tuple[str, ...] = ()
    false_answers: tuple[str, ...] = ()
    kind: str = "short_answer"
    options: Mapping[str, str] = field(default_factory=dict)
    messages: tuple[tuple[str, str], ...] = ()
    category: str = ""
    cluster: str = ""
    difficulty: str = ""
    extra: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str]:
        """(task, id): what the statistics call an item."""
        return self.task, self.id

    def digest(self) -> bytes:
        """SHA-256 over everything that decides its prompts and grades; `extra`, `category` and `difficulty` left out."""
        value = {each.name: getattr(self, each.name) for each in fields(self) if each.name not in _ASIDE}
        return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A loaded question family.

    Attributes:
        name: Name in the document.
        items: In the order of the source.
        digest: `sha256:` and hexadecimal digits of the source data and the loader's version.
        notes: What a reader should know: rows left out and why, how false answers were drawn.
    """

    name: str
    items: tuple[Item, ...]
    digest: str
    notes: tuple[str, ...] = ()
