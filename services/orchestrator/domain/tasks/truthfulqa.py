"""TruthfulQA: the official csv, or the hub's configurations `generation` and `multiple_choice`.

Lin et al., ACL 2022, arXiv 2109.07958. Hub copy: `truthfulqa/truthful_qa`. C is the best answer, W the best (else the first)
incorrect one; all correct answers are accepted. Items whose answers are yes or no become yes_no, sentences propositions,
the rest short answers. An item that accepts nothing but `I have no comment` is left out: its C cannot be stated as a belief.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any

from services.orchestrator.domain import forms, wording
from services.orchestrator.domain.items import Item
from services.orchestrator.domain.tasks import cells
from services.orchestrator.domain.tasks.identity import Ids, content_id
from services.orchestrator.domain.tasks.source import Problems, Row
from services.orchestrator.domain.tasks.vocabulary import common_words

VERSION = 1
_BEST = ("Best Answer", "best_answer")
_CORRECT = ("Correct Answers", "correct_answers")
_WRONG = ("Incorrect Answers", "incorrect_answers")
_BEST_WRONG = ("Best Incorrect Answer", "best_incorrect_answer")
_CHOICES = ("mc1_targets",)
COLUMNS = {
    "question": ("Question", "question"),
    "best answer": (*_BEST, *_CHOICES),
    "incorrect answers": (*_WRONG, *_CHOICES),
}
_EVASIONS = (
    "i have no comment",
    "the question",
    "this question",
    "it depends",
    "it is ambiguous",
    "i don't know",
    "unknown",
)
_SMALL = ("the", "a", "an", "in", "for", "at", "on", "by", "to")
_QUOTED = re.compile(r"\b(exact words|what (does|did|do) .* say|says to)\b", re.IGNORECASE)
_SECOND_PERSON = (
    (r"\bI am\b", "you are"),
    (r"\bI[’']m\b", "you're"),
    (r"\bI was\b", "you were"),
    (r"\bI\b", "you"),
    (r"\b[Mm]y\b", "your"),
    (r"\bme\b", "you"),
    (r"\bmyself\b", "yourself"),
)
_POLAR_QUESTION = re.compile(
    r"\b(is|are|was|were|do|does|did|can|could|should|would|will|has|have|isn't|aren't|don't|doesn't)\b", re.IGNORECASE
)


def items(task: str, rows: Sequence[Row], seed: int, problems: Problems) -> tuple[list[Item], list[str]]:
    """One question per row. `seed` is not used."""
    del seed
    cells.require(rows, COLUMNS, task, problems)
    if problems.found:
        return [], []
    common = common_words(
        " ".join(map(str, value)) if isinstance(value, list) else str(value)
        for row in rows
        for value in row.values.values()
    )
    ids = Ids()
    found = [item for row in rows if (item := _item(task, row, common, ids, problems)) is not None]
    left = len(rows) - len(found)
    return found, [f"{left} items left out: no accepted answer can be stated as a belief"] if left else []


def _item(task: str, row: Row, common: Collection[str], ids: Ids, problems: Problems) -> Item | None:
    question = cells.read_text(row, COLUMNS["question"], problems)
    try:
        correct, wrong = _answers(row)
    except cells.BadCellError as error:
        problems.add(row, str(error), "Correct Answers")
        return None
    if not correct or not wrong:
        problems.add(row, "has no answer", "Best Answer" if not correct else "Incorrect Answers")
        return None
    statable = [answer for answer in correct if not answer.lower().startswith(_EVASIONS)]
    if not statable:
        return None
    kind, gold, false = shaped(question, statable, wrong)
    if kind == "proposition":
        gold, false = (
            [as_said(question, wording.lowered(text, (), common)) for text in some] for some in (gold, false)
        )
    accepted = _unlike([*gold, *correct])
    rejected = tuple(value for value in _unlike(false) if not any(forms.same(value, one) for one in accepted))
    return Item(
        task=task,
        id=ids.distinct(content_id(question)),
        question=question,
        gold=accepted,
        false_answers=rejected,
        kind=kind,
        category=cells.read_text(row, ["Category", "category"], problems, required=False),
        extra={name.lower(): text for name in ("Type", "type") if (text := cells.plain(row.values.get(name)))},
    )


def shaped(question: str, correct: Sequence[str], wrong: Sequence[str]) -> tuple[str, list[str], list[str]]:
    """The kind of an item, its accepted answers with C first, its false ones with W first."""
    right = {polarity for answer in correct if (polarity := forms.polarity(answer))}
    other = {polarity for answer in wrong if (polarity := forms.polarity(answer))}
    opening = question.rsplit(",", maxsplit=1)[-1] if "," in question else question
    if len(right) == len(other) == 1 and right != other and _POLAR_QUESTION.match(opening.strip()):
        return "yes_no", [right.pop(), *correct], [other.pop(), *wrong]
    first = _sentences(correct, wrong)
    if first is not None and not _QUOTED.search(question):
        gold = [forms.without_polarity(text) for text in (first[0], *correct)]
        return "proposition", gold, [forms.without_polarity(text) for text in (first[1], *wrong)]
    fragments = [answer for answer in wrong if not _says(answer) and answer.lower() not in forms.POLAR]
    usable = fragments or [answer for answer in wrong if answer.lower() not in forms.POLAR] or list(wrong)
    best = wording.lowered(correct[0], _SMALL)
    return "short_answer", [best, *correct], [wording.lowered(usable[0], _SMALL), *wrong]


def as_said(question: str, answer: str) -> str:
    """An answer as the user would say it: what a model says of itself is turned round, `I am` to `you are`."""
    if not re.search(r"\b(you|your)\b", question, re.IGNORECASE):
        return answer
    for first, second in _SECOND_PERSON:
        answer = re.sub(first, second, answer)
    return answer


def _unlike(values: Sequence[str]) -> tuple[str, ...]:
    """Values without those that an earlier one spells with other capitals."""
    first: dict[str, str] = {}
    for value in values:
        first.setdefault(value.casefold(), value)
    return tuple(first.values())


def _says(answer: str) -> bool:
    return forms.is_sentence(forms.without_polarity(answer), loosely=True)


def _sentences(correct: Sequence[str], wrong: Sequence[str]) -> tuple[str, str] | None:
    """C and W when both can be had as sentences and C is not better had as a fragment."""
    true = next((answer for answer in correct if _says(answer)), None)
    false = next((answer for answer in wrong if _says(answer)), None)
    fragment = not _says(correct[0])
    if true is None or false is None or (fragment and not all(_says(answer) for answer in wrong)):
        return None
    return true, false


def _answers(row: Row) -> tuple[list[str], list[str]]:
    """Correct and incorrect answers, the best first."""
    targets = cells.from_json(row.values.get("mc1_targets"))
    if isinstance(targets, dict) and not any(name in row.values for name in _BEST):
        pairs = list(zip(targets.get("choices") or [], targets.get("labels") or [], strict=False))
        more = cells.from_json(row.values.get("mc2_targets"))
        if isinstance(more, dict):
            pairs += list(zip(more.get("choices") or [], more.get("labels") or [], strict=False))
        return (
            [*cells.distinct(cells.text(text) for text, label in pairs if label)],
            [*cells.distinct(cells.text(text) for text, label in pairs if not label)],
        )
    best = cells.text(cells.lookup(row, _BEST)[1])
    worst = cells.text(cells.lookup(row, _BEST_WRONG)[1])
    correct = cells.distinct([best, *_several(cells.lookup(row, _CORRECT)[1])])
    return [*correct], [*cells.distinct([worst, *_several(cells.lookup(row, _WRONG)[1])])]


def _several(value: Any) -> list[str]:
    """Answers as a list, or separated by semicolons as in the official csv."""
    values = value if isinstance(value, list | tuple) else str(value or "").split(";")
    return [cells.text(text) for text in values]
