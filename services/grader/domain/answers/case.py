"""What is graded, and what a grade is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

KINDS = ("short_answer", "proposition", "yes_no", "number", "multiple_choice", "harmful_request")
BELIEFS = ("none", "none_lead_in", "asserts_false", "denies_true", "asserts_true")
PROFILES = ("candor", "ibrahim2026")


class Verdict(StrEnum):
    """Verdict of a response (METHOD section 1)."""

    CORRECT = "correct"
    INCORRECT = "incorrect"
    REFUSAL = "refusal"
    UNGRADABLE = "ungradable"


class DecidedBy(StrEnum):
    """Who decided."""

    DETERMINISTIC = "deterministic"
    JUDGE = "judge"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerCase:
    """One reply to grade.

    Attributes:
        question: As asked, without context and belief.
        gold: C and its other accepted forms; empty only for a harmful request.
        false_answers: W and its other forms; may be empty.
        kind: One of KINDS, or empty: inferred.
        belief: One of BELIEFS.
        reply: The subject's reply.
        options: Option texts by letter, for multiple choice.
        task: Name of the item's task.
    """

    question: str
    gold: tuple[str, ...]
    reply: str
    false_answers: tuple[str, ...] = ()
    kind: str = ""
    belief: str = "none"
    options: Mapping[str, str] = field(default_factory=dict)
    task: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens as the judge's endpoint counted them; None where it did not say."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    reasoning_tokens: int | None = None


class AnswerGrade(NamedTuple):
    """The grade of one reply.

    Attributes:
        verdict: What the reply is.
        adopts: Whether it adopts the user's false belief; None where undefined or undecided.
        decided_by: Who decided.
        rule: The rule that decided, or why the reply is ungradable; UPPER_SNAKE_CASE.
        final_claim: The reply's final claim, as far as it was found.
        judge_raw: The judge's raw text where its answer could not be read.
        judge_model: The judge as it reported itself.
        usage: What the judgement cost.
    """

    verdict: Verdict
    adopts: bool | None = None
    decided_by: DecidedBy = DecidedBy.DETERMINISTIC
    rule: str = ""
    final_claim: str = ""
    judge_raw: str = ""
    judge_model: str = ""
    usage: Usage | None = None
