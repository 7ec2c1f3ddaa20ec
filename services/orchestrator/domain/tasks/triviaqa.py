"""TriviaQA: `question`, `answer` with value and aliases; or `golden_answers`; or the original `Data` records.

Joshi et al., ACL 2017, arXiv 1705.03551. Hub copy: `mandarjoshi/trivia_qa`, configuration `rc.nocontext`. The dataset has
no false answers: each is the answer of another item of the same type (see `false_answers`). Copies that keep only a list
of aliases have lost which of them is the answer; the one that most others spell out is then taken for C.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from services.orchestrator.domain import forms, wording
from services.orchestrator.domain.items import Item
from services.orchestrator.domain.tasks import cells
from services.orchestrator.domain.tasks.false_answers import answer_type, drawn, loose
from services.orchestrator.domain.tasks.identity import Ids, content_id
from services.orchestrator.domain.tasks.source import Problems, Row

VERSION = 1
COLUMNS = {
    "question": ("question", "Question"),
    "answer": ("answer", "Answer", "golden_answers", "answers"),
}
_IDS = ("question_id", "QuestionId", "id", "qid")
_REMARK = re.compile(r"\s*\([^()]*\)$")
_ROMAN = re.compile(r"[IVX]+")
_SMALL = re.compile(r"[a-z]{4,}|[ivx]{2,}")
_LONG = 12
_FEW = 3


def items(task: str, rows: Sequence[Row], seed: int, problems: Problems) -> tuple[list[Item], list[str]]:
    """One question per row."""
    cells.require(rows, COLUMNS, task, problems)
    if problems.found:
        return [], []
    ids = Ids()
    read = [pair for row in rows if (pair := _item(task, row, ids, problems)) is not None]
    complete = drawn([item for item, _ in read], seed, [item for item, sure in read if sure])
    without = sum(not item.false_answers for item in complete)
    vague = sum(loose(answer_type(item.question, item.gold[0])) for item in complete if item.false_answers)
    notes = [
        f"false answers are answers of other items of the same type, drawn with seed {seed}",
        f"{vague} of them are of a type that the question does not say; questions with like words stand in for it",
    ]
    if without:
        notes.append(
            f"{without} items have no false answer (no other answer fits) and are not asked under asserts_false"
        )
    return complete, notes


def _item(task: str, row: Row, ids: Ids, problems: Problems) -> tuple[Item, bool] | None:
    """An item, and whether its C is surely the answer and not some odd alias."""
    question = mended(cells.read_text(row, COLUMNS["question"], problems))
    name, value = cells.lookup(row, COLUMNS["answer"])
    try:
        gold, sure = accepted(cells.from_json(value), row, question)
    except cells.BadCellError as error:
        problems.add(row, str(error), name)
        return None
    if not gold:
        problems.add(row, "has no answer", name)
    if not question or not gold:
        return None
    identity = cells.read_text(row, _IDS, problems, required=False) or content_id(question)
    kind = "number" if forms.is_number(gold[0]) else "short_answer"
    item = Item(task=task, id=ids.distinct(identity), question=wording.finished(question), gold=gold, kind=kind)
    return item, sure


def accepted(value: Any, row: Row, question: str) -> tuple[tuple[str, ...], bool]:
    """Accepted answers with the one to show first, and whether that one is surely the answer."""
    if isinstance(value, Mapping):
        fields = {str(key).lower(): entry for key, entry in value.items()}
        aliases = cells.texts(fields.get("aliases") or [], row)
        given = cells.distinct([cells.text(fields.get("value")), *aliases])
        if not given:
            return (), False
        return cells.distinct([display(given, given[0]), *given]), True
    given = cells.texts(value, row)
    if not given:
        return (), False
    answer, support = central(given, question)
    return cells.distinct([display(given, answer), *given]), support >= _FEW or len(given) <= _FEW


def central(given: Sequence[str], question: str) -> tuple[str, int]:
    """The answer that most others spell out, and how many do: such lists hold titles and misspellings in any order.

    Digits win. Else the score is the number of different answers that contain it (its own spellings count up to three
    times) times its length up to 12 characters to the power 1.5. What the question says itself, or only one answer
    spells, is the last resort.
    """
    digits = [answer for answer in given if re.fullmatch(r"[\d,.]+", answer)]
    if digits:
        return min(digits, key=len), len(given)
    plain = [_REMARK.sub("", text) or text for text in given]
    spelled = Counter(forms.tokens(text) for text in plain)
    bare = {forms.tokens(text): text for text in reversed(plain)}
    padded = {words: forms.spaced(text) for words, text in bare.items()}
    support = {
        words: sum(own in other for other in padded.values()) + min(spelled[words], _FEW) - 1
        for words, own in padded.items()
    }

    def merit(words: tuple[str, ...]) -> tuple[bool, bool, float]:
        fresh = not forms.contains(question, bare[words])
        return fresh, support[words] > 1, support[words] * min(len(" ".join(words)), _LONG) ** 1.5

    best = max(bare, key=merit)
    return bare[best], support[best]


def display(given: Sequence[str], answer: str) -> str:
    """The best-looking spelling of an answer among those given."""
    spellings = [text for text in given if forms.same(_REMARK.sub("", text) or text, answer)] or [answer]
    best = min((_REMARK.sub("", text) or text for text in spellings), key=_flaws)
    if best.isupper() and len(best) > 4 and " " in best:
        return " ".join(word if _ROMAN.fullmatch(word) else word.capitalize() for word in best.split())
    return best


def _flaws(text: str) -> tuple[int, int, int, str]:
    """How odd a spelling looks: marks, shouting, capitals inside words, lost apostrophes; then an article; then length."""
    odd = sum(not (char.isalnum() or char in " '’.&,") for char in text) + (not text[-1].isalnum() and text[-1] != ".")
    shouting = text.isupper() and len(text) > 4
    mixed = any(
        re.search(r"[a-z][A-Z]|[A-Z]{2}[a-z]", word) and not word.startswith(("Mac", "Mc", "De"))
        for word in text.split()
    )
    small = text[0].isupper() and any(_SMALL.fullmatch(word) for word in text.split()[1:])
    lost = 0 if "'" in text or "’" in text else 1
    article = text.split(maxsplit=1)[0].lower() in ("a", "an", "the")
    return (2 * odd + 2 * shouting + 2 * mixed + 3 * small + lost, int(article), len(text), text)


def mended(question: str) -> str:
    """A question without the traces of its way through csv: outer and doubled quotation marks, blanks before marks."""
    if question.startswith('"') and question.endswith('"') and '""' in question:
        question = question[1:-1]
    question = question.replace('""', '"')
    return re.sub(r"\s+([?.!,])", r"\1", " ".join(question.split()))
