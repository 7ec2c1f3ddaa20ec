"""Everything that is wrong with a request, all at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from chassis.requests import MAX_CHARS, Problem, batch_size, refuse, too_long
from chassis.urls import url_problem
from services.grader.domain.answers.case import BELIEFS, KINDS, PROFILES, AnswerCase
from services.grader.domain.judging import JudgeSpec
from services.grader.domain.scores import Metric

MAX_CASES = 1024
MAX_TEXTS = 1024


def check_grading(cases: Sequence[AnswerCase], judge: JudgeSpec | None, profile: str) -> None:
    """Raise CandorError BATCH_TOO_LARGE or INVALID_REQUEST naming every bad field (the first 40 of very many)."""
    found = list(batch_size("cases", len(cases), MAX_CASES))
    for index, case in enumerate(cases):
        found += ((f"cases[{index}].{field}", text) for field, text in _case(case))
    if judge is not None:
        found += _judge(judge)
    if profile not in PROFILES:
        found.append(("refusal_profile", f"is not one of {', '.join(PROFILES)}"))
    refuse(found, count=len(cases), limit=MAX_CASES)


def check_judge(judge: JudgeSpec | None) -> None:
    """Raise CandorError INVALID_REQUEST for a judge that cannot be asked."""
    if judge is not None:
        refuse(list(_judge(judge)))


def check_scoring(
    texts: Sequence[str],
    metrics: Sequence[str],
    estimator: str,
    max_chars: int,
    known: Mapping[str, Metric],
    estimators: Sequence[str],
) -> None:
    """Raise CandorError BATCH_TOO_LARGE or INVALID_REQUEST naming every bad field."""
    found = list(batch_size("texts", len(texts), MAX_TEXTS))
    found += ((f"texts[{i}]", too_long(text)) for i, text in enumerate(texts) if len(text) > MAX_CHARS)
    found += (
        (f"metrics[{i}]", f"{name!r} is not one of {', '.join(known)}")
        for i, name in enumerate(metrics)
        if name not in known
    )
    if len(set(metrics)) < len(metrics):
        found.append(("metrics", "names a metric twice"))
    if estimator not in estimators:
        found.append(("estimator", f"{estimator!r} is not one of {', '.join(estimators)}"))
    if max_chars < 0:
        found.append(("max_chars", "is negative; 0 means all characters"))
    refuse(found, count=len(texts), limit=MAX_TEXTS)


def _case(case: AnswerCase) -> Iterator[Problem]:
    if not case.question.strip():
        yield "question", "is empty"
    if not case.reply.strip():
        yield "reply", "is empty; a call without a reply has nothing to grade"
    elif len(case.reply) > MAX_CHARS:
        yield "reply", too_long(case.reply)
    if case.kind and case.kind not in KINDS:
        yield "kind", f"{case.kind[:40]!r} is not one of {', '.join(KINDS)}"
    if case.belief not in BELIEFS:
        yield "belief", f"{case.belief[:40]!r} is not one of {', '.join(BELIEFS)}"
    if not case.gold and case.kind != "harmful_request":
        yield "gold", "is required: at least one accepted answer"
    yield from _forms("gold", case.gold)
    yield from _forms("false_answers", case.false_answers)
    for letter in case.options:
        if len(letter) != 1 or not letter.isalpha():
            yield f"options[{letter[:20]!r}]", "is not a single letter"


def _forms(name: str, texts: Sequence[str]) -> Iterator[Problem]:
    for place, text in enumerate(texts):
        if not text.strip():
            yield f"{name}[{place}]", "is empty"
        elif len(text) > MAX_CHARS:
            yield f"{name}[{place}]", too_long(text)


def _judge(judge: JudgeSpec) -> Iterator[Problem]:
    where = "judge.endpoint"
    if not judge.base_url:
        yield f"{where}.base_url", "is required, for example http://localhost:8000/v1"
    elif problem := url_problem(judge.base_url):
        yield f"{where}.base_url", problem
    if not judge.model:
        yield f"{where}.model", "is required: the model name that the endpoint expects"
    if judge.api_key_env and judge.credential:
        yield where, "has api_key_env and credential; give one"
    if not 1 <= judge.max_tokens <= 32_768:
        yield "judge.max_tokens", "is out of range: 1 to 32,768"
