"""What raters wrote, read with the key: judgements of warmth and labels of answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chassis.errors import FieldViolation, Reason, invalid
from services.orchestrator.domain.calibration import LABELS, Calibration, calibrate
from services.orchestrator.domain.ratings.key import AnswerKey, Key, PairKey
from services.orchestrator.domain.ratings.needed import Standing, counts
from services.orchestrator.domain.ratings.preferences import Judgement
from services.orchestrator.domain.tasks.source import MAX_PROBLEMS, short

_SIDES = {"a": 1.0, "b": 0.0, "=": 0.5, "same": 0.5, "tie": 0.5, "neither": 0.5}
_UNSURE = ("unsure", "?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """A filled-in file.

    Attributes:
        name: For messages.
        rater: Who filled it in, where no column says it.
        rows: Cells by column name.
    """

    name: str
    rater: str
    rows: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """Labels of answers, one for each answer: the majority of its raters.

    Attributes:
        labelled: (answer, label), in the key's order.
        undecided: Answers whose raters are split evenly.
        unsure: Times that a rater was unsure.
        raters_agree: Share of two raters of one answer saying the same; None where none has two.
        graded: The evaluation's own grades against the labels; None without labels.
        judged: The same for replies that only a judge decided; None without any.
        standings: How far each of the two arms is from a calibration, the reference first.
    """

    labelled: tuple[tuple[AnswerKey, str], ...]
    undecided: int
    unsure: int
    raters_agree: float | None
    graded: Calibration | None
    judged: Calibration | None
    standings: tuple[Standing, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadBack:
    """Everything that was written."""

    judgements: tuple[Judgement, ...]
    labels: Labels
    open_pairs: int


def read_back(key: Key, sheets: Sequence[Sheet]) -> ReadBack:
    """Read sheets of pairs and of answers, in any number and order; empty cells are not rated yet.

    Raises:
        CandorError: BAD_DATASET naming the rows (the first 20): an id of another export, an unknown word, a rater who
            rated one thing twice.
    """
    found = _Reading({pair.id: pair for pair in key.pairs}, {answer.id for answer in key.answers})
    for sheet in sheets:
        for number, row in enumerate(sheet.rows, start=1):
            found.row(sheet, f"{sheet.name}, row {number}", row)
    problems = found.problems
    if problems:
        count = "1 row" if len(problems) == 1 else f"{len(problems):,} rows"
        raise invalid(f"the ratings have {count} to mend", problems[:MAX_PROBLEMS], Reason.BAD_DATASET)
    return ReadBack(
        judgements=tuple(found.judgements.values()),
        labels=_labels(key, found.labels, found.unsure),
        open_pairs=found.open_pairs,
    )


@dataclass
class _Reading:
    """What was read so far."""

    pairs: Mapping[str, PairKey]
    answers: Collection[str]
    problems: list[FieldViolation] = field(default_factory=list)
    judgements: dict[tuple[str, str], Judgement] = field(default_factory=dict)
    labels: dict[tuple[str, str], str] = field(default_factory=dict)
    open_pairs: int = 0
    unsure: Counter[str] = field(default_factory=Counter)

    def row(self, sheet: Sheet, where: str, row: Mapping[str, Any]) -> None:
        """A row of either kind of sheet."""
        identity = str(row.get("id") or "").strip()
        rater = str(row.get("rater") or "").strip() or sheet.rater
        if identity in self.pairs:
            self._pair(where, identity, rater, str(row.get("warmer") or "").strip().lower().lstrip("'"))
        elif identity in self.answers:
            self._answer(where, identity, rater, str(row.get("label") or "").strip().lower())
        else:
            text = "is not in this key: the file is of another export, or the id was changed"
            self._bad(f"{where}, column id", f"{short(identity)} {text}")

    def _pair(self, where: str, identity: str, rater: str, word: str) -> None:
        if not word:
            self.open_pairs += 1
        elif word not in _SIDES:
            self._bad(f"{where}, column warmer", f"{short(word)}; write A, B or =")
        elif (identity, rater) in self.judgements:
            self._bad(where, f"{rater} rated {identity} twice; keep one row")
        else:
            self.judgements[identity, rater] = _judgement(self.pairs[identity], rater, _SIDES[word])

    def _answer(self, where: str, identity: str, rater: str, word: str) -> None:
        if word in _UNSURE:
            self.unsure[identity] += 1
        elif word and word not in LABELS:
            self._bad(f"{where}, column label", f"{short(word)}; write {', '.join(LABELS)}, or unsure")
        elif (identity, rater) in self.labels:
            self._bad(where, f"{rater} labelled {identity} twice; keep one row")
        elif word:
            self.labels[identity, rater] = word

    def _bad(self, where: str, text: str) -> None:
        self.problems.append(FieldViolation(where, text))


def _judgement(pair: PairKey, rater: str, first: float) -> Judgement:
    sociot = None
    if pair.sociot_treated is not None and pair.sociot_reference is not None:
        sociot = pair.sociot_treated - pair.sociot_reference
    return Judgement(
        pair=pair.id,
        rater=rater,
        treated=first if pair.treated_first else 1.0 - first,
        first=first,
        sociot=sociot,
    )


def _labels(key: Key, labels: Mapping[tuple[str, str], str], unsure: Counter[str]) -> Labels:
    by_answer: dict[str, Counter[str]] = {}
    for (identity, _), word in labels.items():
        by_answer.setdefault(identity, Counter())[word] += 1
    labelled: list[tuple[AnswerKey, str]] = []
    undecided = same = total = 0
    for answer in key.answers:
        votes = by_answer.get(answer.id)
        if votes is None:
            continue
        count = votes.total()
        total += count * (count - 1) // 2
        same += sum(n * (n - 1) // 2 for n in votes.values())
        (first, most), *others = votes.most_common()
        if others and others[0][1] == most:
            undecided += 1
        else:
            labelled.append((answer, first))
    graded = [(label, answer.verdict, answer.arm) for answer, label in labelled if answer.verdict]
    judged = [(label, a.verdict, a.arm) for a, label in labelled if a.verdict and a.decided_by == "judge"]
    usable = {answer.id for answer, _ in labelled}
    return Labels(
        labelled=tuple(labelled),
        undecided=undecided,
        unsure=unsure.total(),
        raters_agree=same / total if total else None,
        graded=calibrate(graded) if graded else None,
        judged=calibrate(judged) if judged else None,
        standings=tuple(
            _standing(key, arm, by_answer.keys() | unsure.keys(), usable) for arm in (key.reference, key.treated)
        ),
    )


def _standing(key: Key, arm: str, rated: Collection[str], usable: Collection[str]) -> Standing:
    shown = [answer.id for answer in key.answers if answer.arm == arm and counts(answer.decided_by)]
    return Standing(
        arm=arm,
        shown=len(shown),
        rated=sum(one in rated for one in shown),
        usable=sum(one in usable for one in shown),
    )


def calibration_rows(labels: Labels) -> list[dict[str, Any]]:
    """The table that `candor calibrate judge` takes: each reply is graded against every form that its evaluation accepted."""
    return [
        {
            "question": answer.question,
            "answer": answer.gold,
            "aliases": list(answer.aliases),
            "reply": answer.reply,
            "label": label,
            "false_answer": [answer.false_answer, *answer.false_aliases] if answer.false_answer else [],
            "kind": answer.kind,
            "belief": answer.belief,
            "task": answer.task,
            "arm": answer.arm,
        }
        for answer, label in labels.labelled
    ]
